#include "campaign.h"

#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void enter(tms_tracer *t, const tms_campaign *c, uint32_t run) {
    tms_snapshot_restore(t, c->snapshot);
    for (uint32_t k = 0; k < c->write_count; k++) {
        tms_write(t, c->write_at[k], c->write_rows[k] + (size_t)run * c->write_bytes[k], c->write_bytes[k]);
    }
    for (uint32_t k = 0; k < c->arguments; k++) {
        uint32_t value = c->argument_rows[(size_t)run * c->arguments + k];
        t->api.reg_write(t->uc, c->argument_ids[k], &value);
    }
    if (c->fault_rows) {
        const uint32_t *row = c->fault_rows + (size_t)run * 4;
        t->fault_kind = row[0], t->fault_index = row[1], t->fault_mask = row[2], t->fault_where = row[3];
    }
    if (c->link) {
        uint32_t back = c->link | t->thumb;
        t->api.reg_write(t->uc, c->link_id, &back);
    }
}

static uint32_t taken(const tms_record *r, uint32_t kind) {
    switch (kind) {
    case TMS_TAKE_HD: return r->hd;
    case TMS_TAKE_HW: return r->hw;
    case TMS_TAKE_BUS_HD: return r->bus_hd;
    case TMS_TAKE_BUS_HW: return r->bus_hw;
    case TMS_TAKE_VALUE: return r->value;
    case TMS_TAKE_BUS: return r->bus;
    case TMS_TAKE_PC: return r->pc;
    default: return r->address;
    }
}

static void reduce(const tms_tracer *t, const tms_campaign *c, uint32_t run) {
    for (uint32_t column = 0; column < c->columns; column++) {
        uint32_t kind = c->column_kind[column];
        size_t row = (size_t)run * c->point_count;
        uint16_t *narrow = (uint16_t *)c->column_rows[column] + row;
        uint32_t *wide = (uint32_t *)c->column_rows[column] + row;
        for (uint32_t k = 0; k < c->point_count; k++) {
            uint32_t at = c->points ? c->points[k] : k;
            if (at >= t->made) break; /* rows are zero behind the end of a short run */
            uint32_t value = taken(t->records + at, kind);
            if (kind >= TMS_TAKE_VALUE) wide[k] = value;
            else narrow[k] = (uint16_t)value;
        }
    }
}

static void finish(tms_tracer *t, const tms_campaign *c, uint32_t run) {
    for (uint32_t k = 0; k < c->output_count; k++) {
        const tms_region *r = tms_region_of(t, c->output_at[k]);
        uint8_t *row = c->output_rows[k] + (size_t)run * c->output_bytes[k];
        if (r && c->output_bytes[k] <= r->size - (c->output_at[k] - r->base)) {
            memcpy(row, r->host + (c->output_at[k] - r->base), c->output_bytes[k]);
        }
    }
    reduce(t, c, run);
    c->ends[run] = (uint8_t)t->end;
    c->lengths[run] = (uint32_t)t->made;
    c->instructions[run] = t->n;
}

/* Runs from number `done` on; 0 when all are finished, 1 when the time is over first. */
int tms_campaign_run(tms_tracer *t, tms_campaign *c) {
    double end = now() + c->seconds;
    for (; c->done < c->runs; c->done++) {
        enter(t, c, c->done);
        tms_begin(t);
        tms_go(t, c->start, c->until);
        finish(t, c, c->done);
        for (uint32_t k = 0; !c->done && k < c->point_count; k++) {
            uint32_t at = c->points ? c->points[k] : k;
            if (at < t->made) c->first_pcs[k] = t->records[at].pc;
        }
        if ((c->done & 63) == 63 && now() > end) {
            c->done++;
            return c->done < c->runs;
        }
    }
    return 0;
}

void tms_sizes(uint32_t *sizes) {
    sizes[0] = sizeof(tms_tracer);
    sizes[1] = sizeof(tms_region);
    sizes[2] = sizeof(tms_campaign);
}
