/* Hooks: one call per instruction (or per block, where nothing is to be seen), before it is executed. What an instruction
 * did is read when the next one begins. */
#include "tracer.h"

#include <string.h>
#include <time.h>

#define HOOK_INTERRUPT 1
#define HOOK_CODE 4
#define HOOK_BLOCK 8
#define HOOK_INVALID_MEMORY 1008 /* unmapped and protected, of all three kinds */
#define CTL_FLUSH (10 | (1 << 30))
#define CCR_UNALIGNED 8u
#define CCR_DIVISION 16u
#define BETWEEN_CHECKS 500000u
#define MOST_FAILED 4 /* instructions of one IT block */

static inline uint32_t bits(uint32_t word) { return (uint32_t)__builtin_popcount(word); }

static void stop(tms_tracer *t, uint32_t why) {
    if (!t->end) t->end = why;
    t->api.emu_stop(t->uc);
}

static void trap(tms_tracer *t, uint32_t why, uint32_t pc, uint32_t address) {
    t->fault_pc = pc;
    t->fault_address = address;
    stop(t, why);
}

static void read_registers(tms_tracer *t, uint32_t *to) {
    void *places[TMS_REGISTERS];
    for (uint32_t i = 0; i < t->registers; i++) places[i] = to + i;
    t->api.reg_read_batch(t->uc, t->ids, places, (int)t->registers);
}

/* Weight and distance of what was written; the value of the first register. */
static uint32_t read_written(tms_tracer *t, const tms_step *s, uint32_t *hd, uint32_t *hw) {
    uint32_t left = s->written;
    if (s->kind & TMS_SYNC) {
        uint32_t fresh[TMS_REGISTERS];
        read_registers(t, fresh);
        for (uint32_t i = 0; i < t->registers; i++) {
            if (fresh[i] != t->shadow[i] || (left >> i & 1)) {
                *hd += bits(fresh[i] ^ t->shadow[i]);
                *hw += bits(fresh[i]);
            }
        }
        memcpy(t->shadow, fresh, sizeof fresh);
    } else {
        for (; left; left &= left - 1) {
            uint32_t i = (uint32_t)__builtin_ctz(left), value = 0;
            t->api.reg_read(t->uc, t->ids[i], &value);
            *hd += bits(value ^ t->shadow[i]);
            *hw += bits(value);
            t->shadow[i] = value;
        }
    }
    return s->first == TMS_NONE ? 0 : t->shadow[s->first];
}

static uint32_t word_at(const uint8_t *at, uint32_t width) {
    uint32_t word = 0;
    for (uint32_t i = 0; i < width; i++) word |= (uint32_t)at[i] << 8 * i;
    return word;
}

/* All words that cross the bus, one after the other. */
static void read_bus(tms_tracer *t, const tms_step *s, const tms_region *r, uint32_t address) {
    const uint8_t *at = r->host + (address - r->base);
    for (uint32_t k = 0; k < s->count; k++, at += s->width) {
        uint32_t word = word_at(at, s->width);
        if (!k) t->pending_bus = word;
        t->pending_bus_hd += bits(word ^ t->bus_last);
        t->pending_bus_hw += bits(word);
        t->bus_last = word;
    }
}

static void bus_of_peripheral(tms_tracer *t, uint32_t word) {
    t->pending_bus = word;
    t->pending_bus_hd = bits(word ^ t->bus_last);
    t->pending_bus_hw = bits(word);
    t->bus_last = word;
}

static void record(tms_tracer *t, uint32_t pc, uint32_t value, uint32_t hd, uint32_t hw, uint32_t flags) {
    if (t->made == t->record_limit) {
        stop(t, TMS_END_FULL);
        return;
    }
    tms_record *r = t->records + t->made++;
    uint32_t want = t->want, registers = want & TMS_WANT_REGISTERS, bus = want & TMS_WANT_BUS;
    r->pc = pc;
    r->value = want & TMS_WANT_VALUES ? value : 0;
    r->bus = want & TMS_WANT_VALUES ? t->pending_bus : 0;
    r->address = want & TMS_WANT_ADDRESSES ? t->pending_address : 0;
    r->hd = (uint16_t)(registers ? hd : 0);
    r->hw = (uint16_t)(registers ? hw : 0);
    r->bus_hd = (uint16_t)(bus ? t->pending_bus_hd : 0);
    r->bus_hw = (uint16_t)(bus ? t->pending_bus_hw : 0);
    r->flags = flags;
}

static void forget_bus(tms_tracer *t) {
    t->pending_address = t->pending_bus = t->pending_bus_hd = t->pending_bus_hw = 0;
}

/* Instructions whose condition failed have no hook: they lie between the one before and this one. */
static void failed(tms_tracer *t, uint32_t from, uint32_t to) {
    forget_bus(t);
    for (uint32_t k = 0; k < MOST_FAILED && from != to; k++) {
        tms_step *s = tms_step_at(t, from);
        s->ran++;
        s->marked++;
        t->last[t->n++ % TMS_LAST] = from;
        if (t->it_left) t->it_left--;
        if (t->flash) tms_flash_fetch(t->flash, from, s->size);
        if ((t->want & TMS_WANT_RECORDS) && (s->marks & TMS_MARK_RECORD)) record(t, from, 0, 0, 0, 4);
        from += s->size;
    }
}

static void after_store(tms_tracer *t, const tms_step *s) {
    uint32_t address = t->pending_address;
    tms_region *r = tms_region_of(t, address);
    if (!r) {
        bus_of_peripheral(t, s->stored == TMS_NONE ? 0 : t->shadow[s->stored]);
        if (tms_system_register(address)) tms_system_written(t, address, t->pending_bus);
        return;
    }
    if (t->want & (TMS_WANT_BUS | TMS_WANT_VALUES)) read_bus(t, s, r, address);
    for (uint32_t k = 0; tms_system_register(address + 4 * k) && k < s->count; k++) {
        tms_system_written(t, address + 4 * k, word_at(r->host + (address - r->base) + 4 * k, s->width));
    }
}

static void complete(tms_tracer *t, uint32_t next) {
    tms_step *s = t->pending;
    uint32_t pc = t->pending_pc, flags = t->pending_flags, hd = 0, hw = 0, value = 0;
    uint32_t after = pc + s->size, kind = s->kind;
    t->pending = NULL;
    if (t->undo) tms_undo(t, s);
    if (t->watch_registers) {
        if (kind & TMS_STORE) after_store(t, s);
        value = read_written(t, s, &hd, &hw);
        if ((flags & 16) && (kind & TMS_LOAD)) bus_of_peripheral(t, value);
    }
    if (next != after && (kind & TMS_BRANCH) && !t->resync) {
        s->marked++;
        flags |= 8;
    }
    if ((t->want & TMS_WANT_RECORDS) && (s->marks & TMS_MARK_RECORD)) record(t, pc, value, hd, hw, flags);
    if (t->changed_code) {
        t->changed_code = 0;
        tms_region *r = tms_region_of(t, t->pending_address);
        if (r) tms_forget_code(t, r, t->pending_address - r->base, (uint32_t)s->width * s->count);
    }
    if (next != after && next - after <= 4 * MOST_FAILED && !(kind & TMS_BRANCH) && !t->resync) failed(t, after, next);
}

static uint32_t address_of(const tms_tracer *t, const tms_step *s) {
    uint32_t address = (uint32_t)s->offset;
    if (s->base != TMS_NONE) address += t->shadow[s->base];
    if (s->index != TMS_NONE) address += t->shadow[s->index] << s->shift;
    return address;
}

/* Before a memory access: where it goes, whether it may, what a load will bring. 1 where the run ends here. */
static int access(tms_tracer *t, tms_step *s, uint32_t pc) {
    uint32_t address = address_of(t, s), bytes = (uint32_t)s->width * s->count;
    uint32_t wrong = address & (s->width - 1u), right = s->kind & TMS_STORE ? 2 : 1;
    t->pending_address = address;
    t->pending_flags |= right;
    if (wrong && (s->count > 1 || (t->traps & TMS_TRAP_UNALIGNED) ||
                  ((t->traps & TMS_TRAP_UNALIGNED_BY_CONTROL) && (t->control & CCR_UNALIGNED)))) {
        trap(t, TMS_END_UNALIGNED, pc, address);
        return 1;
    }
    if (t->mpu_on && (t->traps & TMS_TRAP_MPU) && tms_forbidden(t, address, bytes, right)) {
        t->fault_type = right;
        trap(t, TMS_END_PROTECTED, pc, address);
        return 1;
    }
    tms_region *r = tms_region_of(t, address);
    if (!r || bytes > r->size - (address - r->base)) {
        t->pending_flags |= 16;
        return 0;
    }
    if (right == 1) {
        if (t->want & (TMS_WANT_BUS | TMS_WANT_VALUES)) read_bus(t, s, r, address);
        if (t->flash) tms_flash_read(t->flash, address, bytes);
    } else if (r->writable) {
        tms_touch(r, address, bytes);
        if (r->executable && r->pages[(address - r->base) / 1024u]) t->changed_code = 1;
    }
    return 0;
}

static int divides(tms_tracer *t, const tms_step *s, uint32_t pc) {
    if (t->shadow[s->divisor]) return 0;
    if ((t->traps & TMS_TRAP_DIVISION) ||
        ((t->traps & TMS_TRAP_DIVISION_BY_CONTROL) && (t->control & CCR_DIVISION))) {
        trap(t, TMS_END_DIVISION, pc, 0);
        return 1;
    }
    t->zero_divisions++;
    return 0;
}

static void visit(tms_tracer *t, uint32_t pc) {
    if (t->visited == t->visit_limit) {
        stop(t, TMS_END_FULL);
        return;
    }
    uint32_t *row = t->visits + t->visited++ * (t->registers + 3);
    row[0] = (uint32_t)t->n;
    row[1] = pc;
    read_registers(t, row + 2);
    row[2 + t->registers] = pc;
}

/* 1 where the run ends before this instruction. */
static int marked(tms_tracer *t, const tms_step *s, uint32_t pc) {
    if ((s->marks & TMS_MARK_STOP) && t->n && ++t->hits == t->stop_hit) {
        stop(t, TMS_END_DONE);
        return 1;
    }
    if (s->marks & TMS_MARK_DETECTED) {
        stop(t, TMS_END_DETECTED);
        return 1;
    }
    if (s->marks & TMS_MARK_VISIT) visit(t, pc);
    return 0;
}

/* Whether the limit of instructions or of time is reached. */
static int spent(tms_tracer *t, uint32_t pc) {
    struct timespec now;
    if (t->n < t->limit) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        t->check_at = t->n + BETWEEN_CHECKS < t->limit ? t->n + BETWEEN_CHECKS : t->limit;
        if ((double)now.tv_sec + 1e-9 * (double)now.tv_nsec < t->deadline) return 0;
    }
    trap(t, TMS_END_LIMIT, pc, 0);
    return 1;
}

static void on_code(void *uc, uint64_t address, uint32_t size, void *user) {
    tms_tracer *t = user;
    uint32_t pc = (uint32_t)address;
    (void)uc, (void)size;
    if (t->end) { /* the engine forgets a stop inside of an IT block */
        t->api.emu_stop(t->uc);
        return;
    }
    if (t->pending) complete(t, pc);
    if (t->resync) {
        t->resync = 0;
        read_registers(t, t->shadow);
    }
    if (t->ringing) {
        t->ringing = 0;
        if (t->tick(pc)) return;
    }
    tms_step *s = tms_step_at(t, pc);
    if ((s->marks & ~(TMS_MARK_READY | TMS_MARK_RECORD)) && marked(t, s, pc)) return;
    if (t->stepping == 2 && !(t->step_to && pc - t->step_to < t->step_end - t->step_to)) {
        stop(t, TMS_END_MISMATCH); /* the corrupted instruction is done */
        return;
    }
    if (t->stepping) t->stepping = 2;
    if (t->n >= t->check_at && spent(t, pc)) return;
    if (t->fault_kind && !t->fault_seen) {
        if (t->n == t->fault_index && tms_inject(t, s, pc)) return;
        if ((s->kind & TMS_IT) && t->fault_kind == TMS_FAULT_FETCH && tms_ahead(t, s, pc)) return;
    }
    if (s->kind & TMS_IT) t->it_left = s->count;
    else if (t->it_left) t->it_left--;
    t->last[t->n % TMS_LAST] = pc;
    t->n++;
    s->ran++;
    t->pending = s;
    t->pending_pc = pc;
    t->pending_flags = 0;
    forget_bus(t);
    if (t->flash) tms_flash_fetch(t->flash, pc, s->size);
    if (!t->watch_registers) return;
    if (t->mpu_on && (t->traps & TMS_TRAP_MPU) && tms_forbidden(t, pc, 2, 4)) {
        t->fault_type = 4;
        trap(t, TMS_END_PROTECTED, pc, pc);
        return;
    }
    if ((s->kind & (TMS_LOAD | TMS_STORE)) && access(t, s, pc)) return;
    if (s->divisor != TMS_NONE && divides(t, s, pc)) return;
    if (t->undo) tms_keep(t, s, pc);
}

/* Instructions of a stretch of code, without decoding them. */
static uint32_t instructions_in(const tms_tracer *t, const uint8_t *code, uint32_t bytes) {
    uint32_t count = 0;
    for (uint32_t at = 0; at + 1 < bytes; count++) {
        uint32_t wide = t->thumb ? code[at + 1] >= 0xe8 : (code[at] & 3u) == 3u;
        at += wide ? 4 : 2;
    }
    return count;
}

static uint32_t is_wide(uint32_t half) { return half >= 0xe800u; }

/* Whether an instruction belongs to an IT block, by the code before it. The engine forgets there where it was sent to,
 * and its status register does not tell. Data that looks like an IT instruction does no harm. */
static int in_it_block(tms_tracer *t, uint32_t pc) {
    tms_region *r = tms_region_of(t, pc);
    if (!t->thumb || !r) return 0;
    const uint8_t *code = r->host;
    uint32_t end = pc - r->base, from = end > 18 ? end - 18 : 0;
    for (uint32_t at = from + (from & 1); at + 2 <= end; at += 2) {
        uint32_t half = code[at] | (uint32_t)code[at + 1] << 8;
        if (half >> 8 != 0xbf || !(half & 15)) continue;
        uint32_t next = at + 2;
        for (uint32_t mask = half & 15; mask && next <= end && next + 1 < r->size; mask = mask << 1 & 15) {
            if (next == end) return 1;
            next += is_wide(code[next] | (uint32_t)code[next + 1] << 8) ? 4 : 2;
        }
    }
    return 0;
}

/* A block begins, and the clock rings before its first instruction: in the hook of that, or where there is none by a
 * stop, which keeps the block from running, and in tms_go. */
static void on_clock(void *uc, uint64_t address, uint32_t size, void *user) {
    tms_tracer *t = user;
    (void)uc, (void)size;
    if (t->end || t->n < t->tick_at || t->tick_inside || in_it_block(t, (uint32_t)address)) return;
    t->ringing = 1;
    if (!t->hooked) t->api.emu_stop(t->uc);
}

/* Where nothing is asked for: only a limit, a clock, and the blocks that ran last. */
static void on_block(void *uc, uint64_t address, uint32_t size, void *user) {
    tms_tracer *t = user;
    uint32_t pc = (uint32_t)address;
    (void)uc;
    if (t->tick) on_clock(uc, address, size, user);
    if (t->ringing) return;
    t->block_end = pc + size;
    tms_region *r = tms_region_of(t, pc);
    if (!r || size > r->size - (pc - r->base)) return;
    if (t->n >= t->check_at && spent(t, pc)) return;
    t->n += instructions_in(t, r->host + (pc - r->base), size);
}

/* The end of a window where only blocks are watched: the rest of its block does not run. */
static void on_stop(void *uc, uint64_t address, uint32_t size, void *user) {
    tms_tracer *t = user;
    uint32_t pc = (uint32_t)address;
    (void)uc, (void)size;
    if (t->end || ++t->hits != t->stop_hit) return;
    tms_region *r = tms_region_of(t, pc);
    if (r && t->block_end > pc && t->block_end - pc <= r->size - (pc - r->base)) {
        t->n -= instructions_in(t, r->host + (pc - r->base), t->block_end - pc);
    }
    stop(t, TMS_END_DONE);
}

static void on_detected(void *uc, uint64_t address, uint32_t size, void *user) {
    (void)uc, (void)address, (void)size;
    stop(user, TMS_END_DETECTED);
}

static int on_invalid(void *uc, int type, uint64_t address, int size, int64_t value, void *user) {
    tms_tracer *t = user;
    (void)uc, (void)value;
    t->fault_type = (uint32_t)type;
    t->fault_address = (uint32_t)address;
    t->fault_size = (uint32_t)size;
    return 0;
}

static void on_interrupt(void *uc, uint32_t number, void *user) {
    tms_tracer *t = user;
    (void)uc;
    t->interrupt = number + 1;
    if (t->pending) t->fault_pc = t->pending_pc;
    stop(t, TMS_END_EXCEPTION);
}

static void add(tms_tracer *t, int type, void *callback, uint32_t from, uint32_t to) {
    t->api.hook_add(t->uc, &t->hooks[t->hook_count++], type, callback, t, (uint64_t)from, (uint64_t)to);
}

/* Hooks count only for code that is translated after them: what was translated before is thrown away. Interrupts are
 * left to somebody else where bit 1 is set. `stop`: where the window ends that is watched block by block. */
void tms_hook(tms_tracer *t, uint32_t how, uint32_t stop) {
    for (uint32_t i = 0; i < t->hook_count; i++) t->api.hook_del(t->uc, t->hooks[i]);
    t->hook_count = 0;
    t->hooked = how & 1;
    t->api.ctl(t->uc, CTL_FLUSH);
    add(t, HOOK_INVALID_MEMORY, (void *)on_invalid, 1, 0);
    if (!(how & 2)) add(t, HOOK_INTERRUPT, (void *)on_interrupt, 1, 0);
    if (how & 1) {
        if (t->tick) add(t, HOOK_BLOCK, (void *)on_clock, 1, 0);
        add(t, HOOK_CODE, (void *)on_code, 1, 0);
        return;
    }
    add(t, HOOK_BLOCK, (void *)on_block, 1, 0);
    if (stop) add(t, HOOK_CODE, (void *)on_stop, stop, stop);
    if (t->detected) add(t, HOOK_CODE, (void *)on_detected, t->detected, t->detected);
}

void tms_begin(tms_tracer *t) {
    read_registers(t, t->shadow);
    t->tick_at = t->tick_at > t->n ? t->tick_at - t->n : 0;
    t->ringing = 0;
    t->n = t->made = t->visited = t->zero_divisions = 0;
    t->end = TMS_END_NONE;
    t->check_at = BETWEEN_CHECKS < t->limit ? BETWEEN_CHECKS : t->limit;
    t->it_left = t->undo = t->step_to = 0;
    t->resync = t->hits = t->interrupt = t->fault_seen = t->stepping = t->changed_code = 0;
    t->fault_pc = t->fault_address = t->fault_type = t->fault_size = 0;
    t->bus_last = 0;
    t->pending = NULL;
    memset(t->last, 0, sizeof t->last);
    if (!t->hooked || !t->watch_registers) tms_all_dirty(t); /* nobody notes what is written */
}

static void conclude(tms_tracer *t, int error, uint32_t until) {
    uint32_t pc = 0;
    t->api.reg_read(t->uc, t->pc_id, &pc);
    pc &= ~t->thumb;
    tms_step *s = t->pending;
    /* the engine takes wfe and yield, which it leaves behind, for undefined instructions; wfi just ends it */
    uint32_t waits = s && (s->kind & TMS_WAITS) && pc == t->pending_pc + s->size;
    if (!t->hooked && t->thumb) {
        const tms_step *before = tms_step_at(t, pc - 2);
        waits = before->size == 2 && (before->kind & TMS_WAITS);
    }
    if (s && (waits || !error) && !t->end) complete(t, pc);
    t->pending = NULL;
    if (t->end) return;
    if (error && !waits) {
        t->end = TMS_END_ENGINE;
        t->fault_pc = s ? t->pending_pc : pc;
    } else if (pc == until) {
        t->end = TMS_END_DONE;
    } else {
        t->end = waits ? TMS_END_WAITS : TMS_END_MISMATCH;
        t->fault_pc = pc;
    }
}

/* Runs from an address; the engine's error, 0 where there is none. Why it ended stands in `end`. */
int tms_go(tms_tracer *t, uint32_t from, uint32_t until) {
    int error = t->api.emu_start(t->uc, from | t->thumb, until, 0, 0);
    while (t->ringing && !t->hooked && !error && !t->end) {
        uint32_t pc = 0;
        t->api.reg_read(t->uc, t->pc_id, &pc);
        t->ringing = 0;
        if ((pc & ~t->thumb) == until) break;
        if (t->tick(pc & ~t->thumb)) t->api.reg_read(t->uc, t->pc_id, &pc);
        error = t->api.emu_start(t->uc, pc | t->thumb, until, 0, 0);
    }
    if (t->fault_seen == 1 && t->fault_kind == TMS_FAULT_FETCH) {
        t->end = TMS_END_NONE;
        error = tms_step_corrupted(t);
        if (!error && t->end == TMS_END_MISMATCH) {
            uint32_t pc = 0;
            t->api.reg_read(t->uc, t->pc_id, &pc);
            t->end = TMS_END_NONE;
            error = t->api.emu_start(t->uc, pc | t->thumb, until, 0, 0);
        }
    }
    conclude(t, error, until);
    return error;
}
