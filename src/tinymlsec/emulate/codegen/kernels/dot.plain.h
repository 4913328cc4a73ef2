/* Sums of products, plain: one product an iteration. Sums wrap in 32 bits. */
#ifndef TMS_DOT_H
#define TMS_DOT_H

#include <stdint.h>

#include "compiler.h"

/* Output channels of a depthwise layer that are summed at the same time; of others it is one. */
#define TMS_COLUMNS 1

typedef struct {
    uint32_t sum[TMS_COLUMNS];
} tms_column_sums;

/* sum + (x[0] + offset) * w[0] + ... over n codes. */
static inline uint32_t tms_dot(uint32_t sum, const int8_t *x, const int8_t *w, int32_t n, int32_t offset) {
    TMS_UNTIE(x);
    TMS_UNTIE(w);
    TMS_ROLLED for (int32_t i = 0; i < n; ++i) {
        sum += (uint32_t)((x[i] + offset) * w[i]);
    }
    return sum;
}

/* One more product for each of TMS_COLUMNS channels. */
static inline tms_column_sums tms_columns(tms_column_sums s, const int8_t *x, const int8_t *w, int32_t offset) {
    s.sum[0] += (uint32_t)((x[0] + offset) * w[0]);
    return s;
}

#endif
