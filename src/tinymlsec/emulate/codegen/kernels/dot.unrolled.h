/* Sums of products, unrolled: four products an iteration, then what is left. Sums wrap in 32 bits. */
#ifndef TMS_DOT_H
#define TMS_DOT_H

#include <stdint.h>

/* How many neighboring channels of a depthwise layer are summed together. */
#define TMS_COLUMNS 4

/* sum + (x[0] + offset) * w[0] + ... over n codes. */
static inline uint32_t tms_dot(uint32_t sum, const int8_t *x, const int8_t *w, int32_t n, int32_t offset) {
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        sum += (uint32_t)((x[i] + offset) * w[i]);
        sum += (uint32_t)((x[i + 1] + offset) * w[i + 1]);
        sum += (uint32_t)((x[i + 2] + offset) * w[i + 2]);
        sum += (uint32_t)((x[i + 3] + offset) * w[i + 3]);
    }
    for (; i < n; ++i) {
        sum += (uint32_t)((x[i] + offset) * w[i]);
    }
    return sum;
}

/* The same for each of TMS_COLUMNS channels, one product each. */
static inline void tms_columns(uint32_t *sums, const int8_t *x, const int8_t *w, int32_t offset) {
    sums[0] += (uint32_t)((x[0] + offset) * w[0]);
    sums[1] += (uint32_t)((x[1] + offset) * w[1]);
    sums[2] += (uint32_t)((x[2] + offset) * w[2]);
    sums[3] += (uint32_t)((x[3] + offset) * w[3]);
}

#endif
