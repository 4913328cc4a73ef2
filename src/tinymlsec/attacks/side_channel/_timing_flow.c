/* What depends on the inputs, followed through a recorded run: registers as one bit each, memory byte by byte.
 *
 * The records of the machine tell which instruction ran and which address it accessed; the table tells what each
 * instruction reads, writes and passes on. Mirrored in _timing_flow.py. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NO_REGISTER 255u
#define COUNTER 15u /* the program counter, where it is loaded from memory */
#define SITES (1u << 16)
#define FAILED 4u

/* Bits of tms_flow.kind */
#define LOADS 1u
#define STORES 2u
#define CHOOSES 4u  /* goes on at a place that depends on what it reads */
#define OPERANDS 8u /* takes a time that depends on what it reads */
#define BLOCK 16u   /* makes `count` instructions after it conditional on what it reads */

/* What a place in the code does with something that depends on the inputs */
enum { BRANCHES, CONDITIONAL, LOAD_ADDRESS, STORE_ADDRESS, VARIES, HIDDEN_STORE, PLACES };

typedef struct {
    uint32_t pc, value, bus, address;
    uint16_t hd, hw, bus_hd, bus_hw;
    uint32_t flags;
} tms_record;

typedef struct {
    uint64_t reads, writes; /* `writes` are overwritten, `partly` changed in part */
    uint64_t partly, base;  /* `base`: registers that form the address */
    int32_t layer;          /* the layer that begins here, LAYER_STAYS or LAYER_NONE */
    uint8_t kind, width, count;
    uint8_t words[32];      /* register of each transfer */
    uint8_t spare;
} tms_flow;

#define LAYER_STAYS (-2)

typedef struct {
    uint64_t first, count; /* number of the first instruction that did it, and how often */
    uint32_t address;
    int32_t layer;
    uint32_t place;
    uint32_t low, high; /* of addresses, those that were accessed */
    uint32_t spare;
} tms_site;

typedef struct {
    uint32_t base, size;
    uint8_t *bytes; /* 1: depends on the inputs */
} tms_shadow;

/* What a layer leaves behind. */
typedef struct {
    uint32_t address, size;
    int32_t layer;
} tms_left;

typedef struct {
    uint64_t state; /* registers that depend on the inputs */
    uint64_t flags; /* which bits of it are flags of the core */
    uint64_t n;
    uint32_t code_base, code_halves;
    const int32_t *index; /* per halfword of the code: number in the table, or -1 */
    const tms_flow *table;
    tms_shadow shadows[24];
    uint32_t shadow_count, site_count;
    int32_t layer;
    uint32_t left; /* instructions of an IT block still to come */
    uint64_t block;
    const tms_left *results;
    uint32_t result_count;
    uint32_t apart; /* with other inputs this layer may have gone elsewhere */
    tms_site *sites; /* (SITES), by hash */
    uint8_t *out;    /* per record: whether its result depends on the inputs; NULL for none */
} tms_flows;

static void note(tms_flows *f, uint32_t address, uint32_t place, uint32_t data) {
    if (place == BRANCHES) f->apart = 1;
    uint32_t at = (address * 2654435761u ^ (uint32_t)f->layer * 40503u ^ place * 97u) % SITES;
    for (;; at = (at + 1) % SITES) {
        tms_site *s = f->sites + at;
        if (!s->count) {
            if (f->site_count + 1 >= SITES) return;
            f->site_count++;
            s->first = f->n, s->address = address, s->layer = f->layer, s->place = place;
            s->low = s->high = data;
        }
        if (s->address == address && s->layer == f->layer && s->place == place) {
            s->count++;
            if (data < s->low) s->low = data;
            if (data > s->high) s->high = data;
            return;
        }
    }
}

static uint8_t *shadow_at(tms_flows *f, uint32_t address, uint32_t bytes) {
    for (uint32_t k = 0; k < f->shadow_count; k++) {
        tms_shadow *s = f->shadows + k;
        if (address - s->base < s->size && bytes <= s->size - (address - s->base)) return s->bytes + (address - s->base);
    }
    return NULL; /* code, constants, peripherals */
}

static int any(const uint8_t *bytes, uint32_t count) {
    int found = 0;
    for (uint32_t k = 0; k < count; k++) found |= bytes[k];
    return found;
}

static void put(tms_flows *f, uint64_t bits, int depends) { f->state = depends ? f->state | bits : f->state & ~bits; }

static int load(tms_flows *f, const tms_flow *e, uint32_t pc, uint32_t address, int always) {
    int seen = 0;
    for (uint32_t k = 0; k < e->count; k++) {
        const uint8_t *bytes = shadow_at(f, address + k * e->width, e->width);
        int depends = always || (bytes && any(bytes, e->width));
        seen |= depends;
        if (e->words[k] == COUNTER && depends) note(f, pc, BRANCHES, 0);
        else if (e->words[k] != NO_REGISTER && e->words[k] != COUNTER) put(f, UINT64_C(1) << e->words[k], depends);
    }
    return seen;
}

static int store(tms_flows *f, const tms_flow *e, uint32_t address, int always) {
    int seen = 0;
    for (uint32_t k = 0; k < e->count; k++) {
        int depends = always || (e->words[k] != NO_REGISTER && (f->state >> e->words[k] & 1));
        uint8_t *bytes = shadow_at(f, address + k * e->width, e->width);
        if (bytes) memset(bytes, depends, e->width);
        seen |= depends;
    }
    return seen;
}

/* An instruction whose condition failed, and need not have failed with other inputs. */
static void might_have_run(tms_flows *f, const tms_flow *e, uint32_t pc) {
    f->state |= e->writes | e->partly;
    if (e->kind & LOADS) {
        for (uint32_t k = 0; k < e->count; k++) {
            if (e->words[k] < 64 && e->words[k] != COUNTER) f->state |= UINT64_C(1) << e->words[k];
        }
    }
    if (e->kind & STORES) note(f, pc, HIDDEN_STORE, 0);
}

static int ran(tms_flows *f, const tms_flow *e, const tms_record *r, int conditional, int inside) {
    int depends = (f->state & e->reads) != 0, address = (f->state & e->base) != 0;
    if ((e->kind & CHOOSES) && depends) note(f, r->pc, BRANCHES, 0);
    if ((e->kind & OPERANDS) && depends) note(f, r->pc, VARIES, 0);
    if (address) note(f, r->pc, e->kind & STORES ? STORE_ADDRESS : LOAD_ADDRESS, r->address);
    if (e->kind & (LOADS | STORES)) {
        if (conditional) f->state |= e->partly; /* a base that is written back */
        put(f, e->writes, conditional);         /* the status of a store-exclusive */
        return e->kind & LOADS ? load(f, e, r->pc, r->address, conditional || address) : store(f, e, r->address, conditional);
    }
    depends |= conditional;
    /* inside of an IT block short forms leave the flags as they were: what they had stays */
    uint64_t written = inside ? e->writes & ~f->flags : e->writes;
    put(f, written, depends);
    if (depends) f->state |= e->writes | e->partly;
    return depends;
}

/* Another layer begins. Where the one before may have gone elsewhere, it may have left anything in its results. */
static void enter(tms_flows *f, int32_t layer) {
    for (uint32_t k = 0; f->apart && k < f->result_count; k++) {
        const tms_left *left = f->results + k;
        uint8_t *bytes = left->layer == f->layer ? shadow_at(f, left->address, left->size) : NULL;
        if (bytes) memset(bytes, 1, left->size);
    }
    f->apart = 0;
    f->layer = layer;
}

/* Follows records; how many, which is fewer than all where an instruction is not in the table yet. */
uint64_t tms_flows_run(tms_flows *f, const tms_record *records, uint64_t count) {
    for (uint64_t k = 0; k < count; k++, f->n++) {
        const tms_record *r = records + k;
        uint32_t half = (r->pc - f->code_base) >> 1;
        if (half >= f->code_halves || f->index[half] < 0) return k;
        const tms_flow *e = f->table + f->index[half];
        int inside = f->left > 0, conditional = inside && (f->state & f->block), depends = 0;
        if (e->layer != LAYER_STAYS && e->layer != f->layer) enter(f, e->layer);
        if (inside) f->left--;
        if (conditional && (e->kind & CHOOSES || (e->writes >> COUNTER & 1))) {
            note(f, r->pc, BRANCHES, 0); /* from here on it is followed where this run goes */
            conditional = 0;
        }
        if (conditional) note(f, r->pc, CONDITIONAL, 0);
        if (e->kind & BLOCK) {
            f->left = e->count;
            f->block = e->reads;
        } else if (!(r->flags & FAILED)) {
            depends = ran(f, e, r, conditional, inside);
        } else if (conditional) {
            might_have_run(f, e, r->pc);
            depends = 1;
        }
        if (f->out) f->out[k] = (uint8_t)depends;
    }
    return count;
}

void tms_flows_sizes(uint32_t *sizes) {
    sizes[0] = sizeof(tms_record);
    sizes[1] = sizeof(tms_flow);
    sizes[2] = sizeof(tms_site);
    sizes[3] = sizeof(tms_flows);
    sizes[4] = sizeof(tms_left);
}
