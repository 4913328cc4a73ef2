/* Sums of products, plain: one product an iteration. Sums wrap in 32 bits. */
#ifndef TMS_DOT_H
#define TMS_DOT_H

#include <stdint.h>

/* How many neighboring channels of a depthwise layer are summed together. */
#define TMS_COLUMNS 1

/* sum + (x[0] + offset) * w[0] + ... over n codes. */
static inline uint32_t tms_dot(uint32_t sum, const int8_t *x, const int8_t *w, int32_t n, int32_t offset) {
    for (int32_t i = 0; i < n; ++i) {
        sum += (uint32_t)((x[i] + offset) * w[i]);
    }
    return sum;
}

/* The same for each of TMS_COLUMNS channels, one product each. */
static inline void tms_columns(uint32_t *sums, const int8_t *x, const int8_t *w, int32_t offset) {
    sums[0] += (uint32_t)((x[0] + offset) * w[0]);
}

#endif
