/* Many runs of one window from one snapshot. Mirrored in library.py. */
#ifndef TMS_CAMPAIGN_H
#define TMS_CAMPAIGN_H

#include "tracer.h"

/* What a column takes from a record: 16 bits wide up to TMS_TAKE_BUS_HW, 32 bits from TMS_TAKE_VALUE on. */
enum {
    TMS_TAKE_HD, TMS_TAKE_HW, TMS_TAKE_BUS_HD, TMS_TAKE_BUS_HW, TMS_TAKE_VALUE, TMS_TAKE_BUS, TMS_TAKE_ADDRESS,
    TMS_TAKE_PC
};

typedef struct {
    void *snapshot;
    uint32_t start, until, runs, columns, write_count, output_count, arguments;
    int32_t argument_ids[8], link_id;
    uint32_t link;
    const uint32_t *argument_rows; /* (runs, arguments) */
    const uint32_t *write_at, *write_bytes;
    const uint8_t *const *write_rows; /* per write (runs, bytes) */
    const uint32_t *output_at, *output_bytes;
    uint8_t *const *output_rows; /* per output (runs, bytes) */
    const uint32_t *column_kind;
    void *const *column_rows; /* per column (runs, points) */
    const uint32_t *points;   /* numbers of the records that are kept, ascending; NULL for the first `point_count` */
    uint32_t point_count;
    const uint32_t *fault_rows; /* (runs, 4): kind, number of the instruction, mask, where; NULL for none */
    uint8_t *ends;
    uint32_t *lengths;
    uint64_t *instructions;
    uint32_t *first_pcs; /* (points) */
    uint32_t done;       /* runs that are finished: where it goes on, and how far it came */
    double seconds;      /* stop after so long */
} tms_campaign;

int tms_campaign_run(tms_tracer *t, tms_campaign *c);

#endif
