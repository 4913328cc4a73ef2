#include "float_weighted.h"

/* Products and sums are rounded one by one; compilers that fuse them anyway are told so by -ffp-contract=off. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

static float tms_float_dot(float sum, const float *x, const float *w, int32_t n) {
    for (int32_t i = 0; i < n; ++i) sum += x[i] * w[i];
    return sum;
}

static float tms_float_output(const tms_float_sums *s, float sum, int32_t channel) {
    if (s->bias) sum += s->bias[channel];
    return sum < s->low ? s->low : sum > s->high ? s->high : sum;
}

void tms_float_conv_pixel(const tms_float_conv *p, const float *x, float *y, int32_t row, int32_t column, int32_t c0,
                          int32_t c1) {
    const tms_geometry *g = &p->g;
    const tms_view v = tms_view_of(g, row, column);
    const int32_t taps = g->k_h * g->k_w, grouped = p->group_in != g->in_c;
    float *out = y + (row * g->out_w + column) * g->out_c;
    for (int32_t c = c0; c < c1; ++c) {
        const float *codes = x + v.at + (grouped ? c / p->group_out * p->group_in : 0);
        const float *weights = p->s.weights + (c * taps + v.tap) * p->group_in;
        float sum = 0.0f;
        for (int32_t ky = 0; ky < v.rows; ++ky) {
            for (int32_t kx = 0; kx < v.columns; ++kx) {
                const float *tap = codes + ky * v.row_step + kx * v.column_step;
                sum = tms_float_dot(sum, tap, weights + (ky * g->k_w + kx) * p->group_in, p->group_in);
            }
        }
        out[c] = tms_float_output(&p->s, sum, c);
    }
}

void tms_float_depthwise_pixel(const tms_float_depthwise *p, const float *x, float *y, int32_t row, int32_t column,
                               int32_t c0, int32_t c1) {
    const tms_geometry *g = &p->g;
    const tms_view v = tms_view_of(g, row, column);
    float *out = y + (row * g->out_w + column) * g->out_c;
    for (int32_t c = c0; c < c1; ++c) {
        const float *codes = x + v.at + c / p->multiplier;
        const float *weights = p->s.weights + v.tap * g->out_c + c;
        float sum = 0.0f;
        for (int32_t ky = 0; ky < v.rows; ++ky) {
            for (int32_t kx = 0; kx < v.columns; ++kx) {
                const float code = codes[ky * v.row_step + kx * v.column_step];
                sum += code * weights[(ky * g->k_w + kx) * g->out_c];
            }
        }
        out[c] = tms_float_output(&p->s, sum, c);
    }
}

void tms_float_dense_row(const tms_float_dense *p, const float *x, float *y, int32_t row, int32_t c0, int32_t c1) {
    for (int32_t c = c0; c < c1; ++c) {
        const float sum = tms_float_dot(0.0f, x + row * p->depth, p->s.weights + c * p->depth, p->depth);
        y[row * p->units + c] = tms_float_output(&p->s, sum, c);
    }
}
