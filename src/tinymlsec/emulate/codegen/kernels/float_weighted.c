#include "float_weighted.h"

/* Products and sums are rounded one by one; compilers that fuse them anyway are told so by -ffp-contract=off. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

/* Where the window of one output pixel lies. */
typedef struct {
    tms_taps v, h;
    int32_t first; /* of the tap at the top left, which may lie outside */
} tms_float_view;

static tms_float_view tms_float_at(const tms_geometry *g, int32_t row, int32_t column) {
    const int32_t image = tms_image_of(&row, g->out_h);
    const int32_t top = row * g->stride_h - g->pad_h, left = column * g->stride_w - g->pad_w;
    tms_float_view s;
    s.v = tms_inside(top, g->in_h, g->k_h, g->dilation_h);
    s.h = tms_inside(left, g->in_w, g->k_w, g->dilation_w);
    s.first = ((image * g->in_h + top) * g->in_w + left) * g->in_c;
    return s;
}

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
    const tms_float_view s = tms_float_at(g, row, column);
    float *out = y + (row * g->out_w + column) * g->out_c;
    for (int32_t c = c0; c < c1; ++c) {
        const int32_t group = p->group_in == g->in_c ? 0 : c / p->group_out;
        float sum = 0.0f;
        for (int32_t ky = s.v.from; ky < s.v.to; ++ky) {
            for (int32_t kx = s.h.from; kx < s.h.to; ++kx) {
                const int32_t place = ky * g->dilation_h * g->in_w + kx * g->dilation_w;
                const float *codes = x + (s.first + place * g->in_c + group * p->group_in);
                sum = tms_float_dot(sum, codes, p->s.weights + ((c * g->k_h + ky) * g->k_w + kx) * p->group_in,
                                    p->group_in);
            }
        }
        out[c] = tms_float_output(&p->s, sum, c);
    }
}

void tms_float_depthwise_pixel(const tms_float_depthwise *p, const float *x, float *y, int32_t row, int32_t column,
                               int32_t c0, int32_t c1) {
    const tms_geometry *g = &p->g;
    const tms_float_view s = tms_float_at(g, row, column);
    float *out = y + (row * g->out_w + column) * g->out_c;
    for (int32_t c = c0; c < c1; ++c) {
        float sum = 0.0f;
        for (int32_t ky = s.v.from; ky < s.v.to; ++ky) {
            for (int32_t kx = s.h.from; kx < s.h.to; ++kx) {
                const int32_t place = ky * g->dilation_h * g->in_w + kx * g->dilation_w;
                const float code = x[s.first + place * g->in_c + c / p->multiplier];
                sum += code * p->s.weights[(ky * g->k_w + kx) * g->out_c + c];
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
