/* Faults that are put into a run: an instruction left out or changed for once, flipped bits in registers and memory. */
#include "tracer.h"

#define STATUS_IT 0x0600fc00u /* bits of xPSR that say which of the next instructions are conditional */

static void skip(tms_tracer *t, const tms_step *s, uint32_t pc) {
    uint32_t next = (pc + s->size) | t->thumb;
    t->api.reg_write(t->uc, t->pc_id, &next);
    t->last[t->n % TMS_LAST] = pc;
    t->n++;
}

void tms_inject(tms_tracer *t, tms_step *s, uint32_t pc) {
    t->fault_seen = t->fault_expected && t->fault_expected != pc ? 2 : 1;
    if (t->fault_seen == 2) {
        t->fault_pc = pc;
        t->end = TMS_END_MISMATCH;
        t->api.emu_stop(t->uc);
        return;
    }
    if (t->fault_kind == TMS_FAULT_SKIP) {
        skip(t, s, pc);
    } else if (t->fault_kind == TMS_FAULT_REGISTER && t->fault_where < t->registers) {
        uint32_t value = 0;
        t->api.reg_read(t->uc, t->ids[t->fault_where], &value);
        value ^= t->fault_mask;
        t->api.reg_write(t->uc, t->ids[t->fault_where], &value);
        t->shadow[t->fault_where] = value;
    } else if (t->fault_kind == TMS_FAULT_MEMORY) {
        tms_region *r = tms_region_of(t, t->fault_where);
        if (!r) return;
        uint8_t value = (uint8_t)(r->host[t->fault_where - r->base] ^ t->fault_mask);
        tms_write(t, t->fault_where, &value, 1);
    } else if (t->fault_kind == TMS_FAULT_FETCH) {
        t->fault_pc = pc;
        t->end = TMS_END_MISMATCH;
        t->api.emu_stop(t->uc); /* the instruction is changed between two runs of the engine */
    }
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
    t->stepping = 2;
    flip(t, pc);
    int error = t->api.emu_start(t->uc, pc | t->thumb, 0xfffffffeu, 0, 0);
    flip(t, pc);
    t->stepping = 0;
    return error;
}
