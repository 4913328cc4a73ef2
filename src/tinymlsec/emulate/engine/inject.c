/* Faults that are put into a run: an instruction left out or changed for once, flipped bits in registers and memory.
 *
 * Inside of an IT block the engine neither stops nor takes a new program counter. What is left out there is executed and
 * undone, and what is changed there is changed before the block begins. */
#include "tracer.h"

#include <string.h>

static int skip(tms_tracer *t, const tms_step *s, uint32_t pc) {
    uint32_t next = (pc + s->size) | t->thumb;
    if (t->it_left) {
        t->undo = 1;
        return 0;
    }
    t->api.reg_write(t->uc, t->pc_id, &next);
    t->last[t->n % TMS_LAST] = pc;
    t->n++;
    return 1;
}

/* Before an instruction that is to be undone: what it will overwrite. */
void tms_keep(tms_tracer *t, const tms_step *s, uint32_t pc) {
    uint32_t bytes = (uint32_t)s->width * s->count;
    t->undo_next = pc + s->size;
    t->undo_bytes = 0;
    if (t->status_id) t->api.reg_read(t->uc, t->status_id, &t->undo_status);
    tms_region *r = s->kind & TMS_STORE ? tms_region_of(t, t->pending_address) : NULL;
    if (!r || bytes > sizeof t->undo_data || bytes > r->size - (t->pending_address - r->base)) return;
    memcpy(t->undo_data, r->host + (t->pending_address - r->base), bytes);
    t->undo_bytes = bytes;
}

/* After it: everything as it was. The registers' old values are still in the shadow. */
void tms_undo(tms_tracer *t, const tms_step *s) {
    t->undo = 0;
    for (uint32_t left = s->written; left; left &= left - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(left);
        t->api.reg_write(t->uc, t->ids[i], &t->shadow[i]);
    }
    if (t->status_id) t->api.reg_write(t->uc, t->status_id, &t->undo_status);
    if (t->undo_bytes) tms_write(t, t->pending_address, t->undo_data, t->undo_bytes);
    if (s->kind & TMS_BRANCH) {
        uint32_t next = t->undo_next | t->thumb;
        t->api.reg_write(t->uc, t->pc_id, &next);
    }
}

static void stop_for_change(tms_tracer *t, uint32_t pc) {
    t->fault_pc = pc;
    t->end = TMS_END_MISMATCH;
    t->api.emu_stop(t->uc); /* the instruction is changed between two runs of the engine */
}

static int elsewhere(tms_tracer *t, uint32_t pc) {
    if (!t->fault_expected || t->fault_expected == pc) return 0;
    t->fault_seen = 2;
    stop_for_change(t, pc);
    return 1;
}

/* 1 where the instruction is not to be executed now. */
int tms_inject(tms_tracer *t, tms_step *s, uint32_t pc) {
    t->fault_seen = 1;
    if (elsewhere(t, pc)) return 1;
    if (t->fault_kind == TMS_FAULT_SKIP) return skip(t, s, pc);
    if (t->fault_kind == TMS_FAULT_REGISTER && t->fault_where < t->registers) {
        uint32_t value = t->shadow[t->fault_where] ^ t->fault_mask;
        t->api.reg_write(t->uc, t->ids[t->fault_where], &value);
        t->shadow[t->fault_where] = value;
    } else if (t->fault_kind == TMS_FAULT_MEMORY) {
        tms_region *r = tms_region_of(t, t->fault_where);
        if (!r) return 0;
        uint8_t value = (uint8_t)(r->host[t->fault_where - r->base] ^ t->fault_mask);
        tms_write(t, t->fault_where, &value, 1);
    } else if (t->fault_kind == TMS_FAULT_FETCH) {
        t->fault_where = pc;
        stop_for_change(t, pc);
        return 1;
    }
    return 0;
}

/* At an IT instruction: whether the one to be changed is among those that it makes conditional. */
int tms_ahead(tms_tracer *t, const tms_step *it, uint32_t pc) {
    uint32_t at = pc + it->size, target = 0;
    if (t->fault_index <= t->n || t->fault_index > t->n + it->count) return 0;
    for (uint32_t k = 1; k <= it->count; k++) {
        if (t->n + k == t->fault_index) target = at;
        at += tms_step_at(t, at)->size;
    }
    t->fault_seen = 1;
    if (elsewhere(t, target)) return 1;
    t->step_to = pc, t->step_end = at;
    t->fault_where = target;
    stop_for_change(t, pc);
    return 1;
}

static void flip(tms_tracer *t, uint32_t pc) {
    tms_region *r = tms_region_of(t, pc);
    if (!r) return;
    for (uint32_t i = 0; i < 4 && pc - r->base + i < r->size; i++) {
        r->host[pc - r->base + i] ^= (uint8_t)(t->fault_mask >> 8 * i);
    }
    tms_step_at(t, pc);
    tms_forget_code(t, r, pc - r->base, 4);
}

/* Runs one instruction with its bits changed, then puts them back. */
int tms_step_corrupted(tms_tracer *t) {
    uint32_t pc = t->fault_pc;
    t->fault_seen = 3;
    t->fault_pc = 0;
    t->stepping = 1;
    flip(t, t->fault_where);
    int error = t->api.emu_start(t->uc, pc | t->thumb, 0xfffffffeu, 0, 0);
    flip(t, t->fault_where);
    t->stepping = 0;
    t->step_to = 0;
    return error;
}
