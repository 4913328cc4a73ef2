/* FULLY_CONNECTED on int8. */
#ifndef TMS_DENSE_H
#define TMS_DENSE_H

#include "requantize.h"

typedef struct {
    int32_t depth, units;
    int32_t offset;         /* added to input codes */
    int32_t weights_offset; /* added to weights */
    const int8_t *weights;  /* units x depth */
    tms_requantize r;
} tms_dense;

/* Units c0 to c1 - 1 of one row. */
void tms_dense_row(const tms_dense *p, const int8_t *x, int8_t *y, int32_t row, int32_t c0, int32_t c1);

#endif
