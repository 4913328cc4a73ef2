#include "dense.h"

#include "dot.h"

/* Where weights have a zero point: no converter of today writes such files. */
static uint32_t tms_shifted_dot(const tms_dense *p, const int8_t *x, const int8_t *w) {
    uint32_t sum = 0;
    TMS_ROLLED for (int32_t i = 0; i < p->depth; ++i) {
        sum += (uint32_t)((x[i] + p->offset) * (w[i] + p->weights_offset));
    }
    return sum;
}

void tms_dense_row(const tms_dense *p, const int8_t *x, int8_t *y, int32_t row, int32_t c0, int32_t c1) {
    const int8_t *codes = x + row * p->depth;
    int8_t *out = y + row * p->units;

    int32_t c = c0;
#ifdef TMS_TOGETHER
    for (; !p->weights_offset && c + TMS_TOGETHER <= c1; c += TMS_TOGETHER) {
        tms_sums sums = {{0}};
        sums = tms_dots(sums, codes, p->weights + c * p->depth, p->depth, p->depth, p->offset);
        for (int32_t k = 0; k < TMS_TOGETHER; ++k) out[c + k] = tms_output_code(&p->r, sums.sum[k], c + k);
    }
#endif
    for (; c < c1; ++c) {
        const int8_t *weights = p->weights + c * p->depth;
        const uint32_t sum = p->weights_offset ? tms_shifted_dot(p, codes, weights)
                                               : tms_dot(0, codes, weights, p->depth, p->offset);
        out[c] = tms_output_code(&p->r, sum, c);
    }
}
