/* Sums of products with the DSP extension: codes are widened in pairs, two products an instruction. */
#ifndef TMS_DOT_H
#define TMS_DOT_H

#include <stdint.h>

#include "compiler.h"
#include "simd.h"

/* Output channels that are summed at the same time, to widen codes once for both. */
#define TMS_TOGETHER 2
/* Output channels of a depthwise layer that are summed at the same time. */
#define TMS_COLUMNS 4

typedef struct {
    uint32_t sum[TMS_TOGETHER];
} tms_sums;

typedef struct {
    uint32_t sum[TMS_COLUMNS];
} tms_column_sums;

/* sum + (x[0] + offset) * w[0] + ... over n codes; products of codes 0 and 2 are added first, then of 1 and 3. */
static inline uint32_t tms_dot(uint32_t sum, const int8_t *x, const int8_t *w, int32_t n, int32_t offset) {
    const uint32_t offsets = tms_pair(offset, offset);
    const int8_t *end = x + (n & ~3);
    TMS_UNTIE(x);
    TMS_UNTIE(w);
    TMS_ROLLED for (; x != end; x += 4, w += 4) {
        const uint32_t codes = tms_load4(x), weights = tms_load4(w);
        sum = tms_smlad(tms_sxtab16(offsets, codes), tms_sxtb16(weights), sum);
        sum = tms_smlad(tms_sxtab16(offsets, tms_ror8(codes)), tms_sxtb16(tms_ror8(weights)), sum);
    }
    TMS_ROLLED for (int32_t i = 0; i < (n & 3); ++i) {
        sum += (uint32_t)((x[i] + offset) * w[i]);
    }
    return sum;
}

/* The same for TMS_TOGETHER channels; the weights of the next one are `step` further on. */
static inline tms_sums tms_dots(tms_sums s, const int8_t *x, const int8_t *w, int32_t step, int32_t n,
                                int32_t offset) {
    const uint32_t offsets = tms_pair(offset, offset);
    const int8_t *v = w + step, *end = x + (n & ~3);
    TMS_UNTIE(x);
    TMS_UNTIE(w);
    TMS_UNTIE(v);
    TMS_ROLLED for (; x != end; x += 4, w += 4, v += 4) {
        const uint32_t codes = tms_load4(x), a = tms_load4(w), b = tms_load4(v);
        const uint32_t even = tms_sxtab16(offsets, codes), odd = tms_sxtab16(offsets, tms_ror8(codes));
        s.sum[0] = tms_smlad(even, tms_sxtb16(a), s.sum[0]);
        s.sum[1] = tms_smlad(even, tms_sxtb16(b), s.sum[1]);
        s.sum[0] = tms_smlad(odd, tms_sxtb16(tms_ror8(a)), s.sum[0]);
        s.sum[1] = tms_smlad(odd, tms_sxtb16(tms_ror8(b)), s.sum[1]);
    }
    TMS_ROLLED for (int32_t i = 0; i < (n & 3); ++i) {
        s.sum[0] += (uint32_t)((x[i] + offset) * w[i]);
        s.sum[1] += (uint32_t)((x[i] + offset) * v[i]);
    }
    return s;
}

/* One more product for each of TMS_COLUMNS channels. */
static inline tms_column_sums tms_columns(tms_column_sums s, const int8_t *x, const int8_t *w, int32_t offset) {
    const uint32_t offsets = tms_pair(offset, offset);
    const uint32_t codes = tms_load4(x), weights = tms_load4(w);
    const uint32_t even = tms_sxtab16(offsets, codes), odd = tms_sxtab16(offsets, tms_ror8(codes));
    const uint32_t even_weights = tms_sxtb16(weights), odd_weights = tms_sxtb16(tms_ror8(weights));
    s.sum[0] = tms_smlabb(even, even_weights, s.sum[0]);
    s.sum[1] = tms_smlabb(odd, odd_weights, s.sum[1]);
    s.sum[2] = tms_smlatt(even, even_weights, s.sum[2]);
    s.sum[3] = tms_smlatt(odd, odd_weights, s.sum[3]);
    return s;
}

#endif
