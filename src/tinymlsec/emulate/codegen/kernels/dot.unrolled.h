/* Sums of products, unrolled: four products an iteration, then what is left. Sums wrap in 32 bits. */
#ifndef TMS_DOT_H
#define TMS_DOT_H

#include <stdint.h>

#include "compiler.h"

/* Output channels of a depthwise layer that are summed at the same time; of others it is one. */
#define TMS_COLUMNS 4

typedef struct {
    uint32_t sum[TMS_COLUMNS];
} tms_column_sums;

/* sum + (x[0] + offset) * w[0] + ... over n codes. */
static inline uint32_t tms_dot(uint32_t sum, const int8_t *x, const int8_t *w, int32_t n, int32_t offset) {
    const int8_t *end = x + (n & ~3);
    TMS_UNTIE(x);
    TMS_UNTIE(w);
    TMS_ROLLED for (; x != end; x += 4, w += 4) {
        sum += (uint32_t)((x[0] + offset) * w[0]);
        sum += (uint32_t)((x[1] + offset) * w[1]);
        sum += (uint32_t)((x[2] + offset) * w[2]);
        sum += (uint32_t)((x[3] + offset) * w[3]);
    }
    TMS_ROLLED for (int32_t i = 0; i < (n & 3); ++i) {
        sum += (uint32_t)((x[i] + offset) * w[i]);
    }
    return sum;
}

/* One more product for each of TMS_COLUMNS channels. */
static inline tms_column_sums tms_columns(tms_column_sums s, const int8_t *x, const int8_t *w, int32_t offset) {
    s.sum[0] += (uint32_t)((x[0] + offset) * w[0]);
    s.sum[1] += (uint32_t)((x[1] + offset) * w[1]);
    s.sum[2] += (uint32_t)((x[2] + offset) * w[2]);
    s.sum[3] += (uint32_t)((x[3] + offset) * w[3]);
    return s;
}

#endif
