/* Memories of the emulated device: decoded instructions, what was written, snapshots. */
#include "tracer.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 1024u
#define BLOCK 256u
#define UC_CTL_REMOVE_CACHE (9 | (2 << 26) | (1 << 30)) /* UC_CTL_WRITE(UC_CTL_TB_REMOVE_CACHE, 2) */

tms_region *tms_region_of(tms_tracer *t, uint32_t address) {
    for (uint32_t i = 0; i < t->region_count; i++) {
        if (address - t->regions[i].base < t->regions[i].size) return &t->regions[i];
    }
    return NULL;
}

static uint8_t marks_of(tms_tracer *t, uint32_t pc) {
    uint32_t marks = TMS_MARK_READY | (t->range_count ? 0 : TMS_MARK_RECORD);
    for (uint32_t i = 0; i < t->range_count; i++) {
        if (pc >= t->range_from[i] && pc < t->range_to[i]) marks |= TMS_MARK_RECORD;
    }
    if (t->stop_hit && pc == t->stop) marks |= TMS_MARK_STOP;
    if (pc == t->detected) marks |= TMS_MARK_DETECTED;
    for (uint32_t i = 0; i < t->visit_count; i++) {
        if (t->visit_at[i] == pc) marks |= TMS_MARK_VISIT;
    }
    return (uint8_t)marks;
}

tms_step *tms_step_at(tms_tracer *t, uint32_t address) {
    static const uint8_t nothing[4];
    tms_region *r = tms_region_of(t, address);
    tms_step *s = &t->pending_copy;
    const uint8_t *bytes = nothing;
    uint32_t available = 0;
    if (r) {
        uint32_t offset = address - r->base;
        tms_step **page = &r->pages[offset / PAGE];
        if (!*page && !(*page = calloc(PAGE / 2, sizeof(tms_step)))) abort();
        s = *page + offset % PAGE / 2;
        bytes = r->host + offset;
        available = r->size - offset;
    } else {
        memset(s, 0, sizeof *s);
    }
    if (!s->size) {
        uint32_t ran = s->ran, marked = s->marked;
        if (t->decode(address, bytes, available < 4 ? available : 4, s) || !s->size) {
            memset(s, 0, sizeof *s);
            s->size = t->thumb && available >= 2 && bytes[1] >= 0xe8 ? 4 : 2;
            s->kind = TMS_INVALID | TMS_SYNC | TMS_BRANCH;
            s->first = s->stored = s->divisor = TMS_NONE;
        }
        s->ran = ran, s->marked = marked, s->marks = 0;
    }
    if (!s->marks) s->marks = marks_of(t, address);
    return s;
}

static void each_page(tms_tracer *t, void (*act)(tms_step *)) {
    for (uint32_t i = 0; i < t->region_count; i++) {
        tms_region *r = &t->regions[i];
        for (uint32_t p = 0; p * PAGE < r->size; p++) {
            if (!r->pages[p]) continue;
            for (uint32_t k = 0; k < PAGE / 2; k++) act(r->pages[p] + k);
        }
    }
}

static void clear_marks(tms_step *s) { s->marks = 0; }
static void clear_counts(tms_step *s) { s->ran = s->marked = 0; }

void tms_marks_changed(tms_tracer *t) { each_page(t, clear_marks); }
void tms_counts_clear(tms_tracer *t) { each_page(t, clear_counts); }

/* Addresses and (executed, marked) of all instructions that ran; how many there are, also where that is above `most`. */
uint64_t tms_counts_read(tms_tracer *t, uint32_t *addresses, uint32_t *pairs, uint64_t most) {
    uint64_t found = 0;
    for (uint32_t i = 0; i < t->region_count; i++) {
        tms_region *r = &t->regions[i];
        for (uint32_t k = 0; k < r->size / 2; k++) {
            tms_step *page = r->pages[k / (PAGE / 2)];
            if (!page) {
                k |= PAGE / 2 - 1;
                continue;
            }
            tms_step *s = page + k % (PAGE / 2);
            if (!s->ran) continue;
            if (found < most) {
                addresses[found] = r->base + 2 * k;
                pairs[2 * found] = s->ran;
                pairs[2 * found + 1] = s->marked;
            }
            found++;
        }
    }
    return found;
}

/* Instructions that were changed are decoded and translated anew. */
void tms_forget_code(tms_tracer *t, tms_region *r, uint32_t offset, uint32_t bytes) {
    uint32_t from = offset >= 2 ? offset - 2 : 0, to = offset + bytes;
    int decoded = !t->hooked;
    for (uint32_t at = from & ~1u; at < to && at < r->size; at += 2) {
        tms_step *page = r->pages[at / PAGE];
        if (!page) continue;
        tms_step *s = page + at % PAGE / 2;
        decoded |= s->size;
        s->size = 0;
    }
    if (decoded) t->api.ctl(t->uc, UC_CTL_REMOVE_CACHE, (uint64_t)(r->base + from), (uint64_t)(r->base + to));
}

/* Whether something was executed there. Without a hook on every instruction nobody knows, so it is taken for granted. */
static int holds_code(const tms_tracer *t, tms_region *r, uint32_t offset, uint32_t bytes) {
    if (!r->executable) return 0;
    if (!t->hooked) return 1;
    for (uint32_t at = offset >= 2 ? offset - 2 : 0; at < offset + bytes && at < r->size; at += 2) {
        tms_step *page = r->pages[at / PAGE];
        if (page && page[at % PAGE / 2].size) return 1;
    }
    return 0;
}

void tms_touch(tms_region *r, uint32_t address, uint32_t bytes) {
    uint32_t offset = address - r->base;
    uint32_t last = offset + bytes - 1 < r->size ? offset + bytes - 1 : r->size - 1;
    for (uint32_t block = offset / BLOCK; block <= last / BLOCK; block++) r->dirty[block] = 1;
}

void tms_all_dirty(tms_tracer *t) { t->clean = NULL; }

int tms_write(tms_tracer *t, uint32_t address, const uint8_t *data, uint32_t bytes) {
    tms_region *r = tms_region_of(t, address);
    if (!bytes) return 0;
    if (!r || bytes > r->size - (address - r->base)) return 1;
    memcpy(r->host + (address - r->base), data, bytes);
    if (r->writable) tms_touch(r, address, bytes);
    if (holds_code(t, r, address - r->base, bytes)) tms_forget_code(t, r, address - r->base, bytes);
    return 0;
}

tms_snapshot *tms_snapshot_take(tms_tracer *t) {
    tms_snapshot *s = calloc(1, sizeof *s);
    if (!s || t->api.context_alloc(t->uc, &s->context)) {
        free(s);
        return NULL;
    }
    t->api.context_save(t->uc, s->context);
    s->control = t->control, s->mpu_on = t->mpu_on, s->mpu_number = t->mpu_number;
    memcpy(s->mpu, t->mpu, sizeof s->mpu);
    s->tick_left = t->tick_at > t->n ? t->tick_at - t->n : 0, s->tick_inside = t->tick_inside;
    for (uint32_t i = 0; i < t->region_count; i++) {
        tms_region *r = &t->regions[i];
        if (!r->writable) continue;
        if (!(s->copies[i] = malloc(r->size))) {
            tms_snapshot_free(t, s);
            return NULL;
        }
        memcpy(s->copies[i], r->host, r->size);
        memset(r->dirty, 0, r->size / BLOCK + 1);
    }
    t->clean = s;
    return s;
}

static void restore_block(tms_tracer *t, tms_region *r, const uint8_t *copy, uint32_t offset, uint32_t bytes) {
    if (!memcmp(r->host + offset, copy + offset, bytes)) return;
    memcpy(r->host + offset, copy + offset, bytes);
    if (holds_code(t, r, offset, bytes)) tms_forget_code(t, r, offset, bytes);
}

void tms_snapshot_restore(tms_tracer *t, tms_snapshot *s) {
    int all = t->clean != s;
    t->api.context_restore(t->uc, s->context);
    t->control = s->control, t->mpu_on = s->mpu_on, t->mpu_number = s->mpu_number;
    memcpy(t->mpu, s->mpu, sizeof s->mpu);
    t->tick_at = t->n + s->tick_left, t->tick_inside = s->tick_inside;
    for (uint32_t i = 0; i < t->region_count; i++) {
        tms_region *r = &t->regions[i];
        uint32_t blocks = (r->size + BLOCK - 1) / BLOCK;
        if (!r->writable) continue;
        if (all) memset(r->dirty, 1, blocks);
        for (uint8_t *d = r->dirty; (d = memchr(d, 1, (size_t)(r->dirty + blocks - d))); *d++ = 0) {
            uint32_t offset = (uint32_t)(d - r->dirty) * BLOCK;
            restore_block(t, r, s->copies[i], offset, r->size - offset < BLOCK ? r->size - offset : BLOCK);
        }
    }
    t->clean = s;
}

void tms_snapshot_free(tms_tracer *t, tms_snapshot *s) {
    if (!s) return;
    for (uint32_t i = 0; i < TMS_REGIONS; i++) free(s->copies[i]);
    if (s->context) t->api.context_free(s->context);
    if (t->clean == s) t->clean = NULL;
    free(s);
}
