/* Sums of products with the DSP extension: codes are widened in pairs, two products an instruction. */
#ifndef TMS_DOT_H
#define TMS_DOT_H

#include <stdint.h>

#include "simd.h"

/* How many neighboring channels of a depthwise layer are summed together. */
#define TMS_COLUMNS 4

/* sum + (x[0] + offset) * w[0] + ... over n codes; products of codes 0 and 2 are added first, then of 1 and 3. */
static inline uint32_t tms_dot(uint32_t sum, const int8_t *x, const int8_t *w, int32_t n, int32_t offset) {
    const uint32_t offsets = tms_pair(offset, offset);
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const uint32_t codes = tms_load4(x + i), weights = tms_load4(w + i);
        sum = tms_smlad(tms_sxtab16(offsets, codes), tms_sxtb16(weights), sum);
        sum = tms_smlad(tms_sxtab16(offsets, tms_ror8(codes)), tms_sxtb16(tms_ror8(weights)), sum);
    }
    for (; i < n; ++i) {
        sum += (uint32_t)((x[i] + offset) * w[i]);
    }
    return sum;
}

/* The same for each of TMS_COLUMNS channels, one product each. */
static inline void tms_columns(uint32_t *sums, const int8_t *x, const int8_t *w, int32_t offset) {
    const uint32_t offsets = tms_pair(offset, offset);
    const uint32_t codes = tms_load4(x), weights = tms_load4(w);
    const uint32_t even = tms_sxtab16(offsets, codes), odd = tms_sxtab16(offsets, tms_ror8(codes));
    const uint32_t even_weights = tms_sxtb16(weights), odd_weights = tms_sxtb16(tms_ror8(weights));
    sums[0] = tms_smlabb(even, even_weights, sums[0]);
    sums[1] = tms_smlabb(odd, odd_weights, sums[1]);
    sums[2] = tms_smlatt(even, even_weights, sums[2]);
    sums[3] = tms_smlatt(odd, odd_weights, sums[3]);
}

#endif
