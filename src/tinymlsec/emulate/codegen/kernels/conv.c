#include "conv.h"

#include "dot.h"

void tms_conv_pixel(const tms_conv *p, const int8_t *x, int8_t *y, int32_t row, int32_t column, int32_t c0,
                    int32_t c1) {
    const tms_geometry *g = &p->g;
    int8_t *out = y + (row * g->out_w + column) * g->out_c;
    const int32_t image = tms_image_of(&row, g->out_h);
    const int32_t top = row * g->stride_h - g->pad_h, left = column * g->stride_w - g->pad_w;
    const tms_taps v = tms_inside(top, g->in_h, g->k_h, g->dilation_h);
    const tms_taps h = tms_inside(left, g->in_w, g->k_w, g->dilation_w);
    /* Taps of one row lie side by side, in the image as in the weights, unless something is between them. */
    const int32_t joined = g->dilation_w == 1 && p->group_in == g->in_c;
    const int32_t run = joined ? (h.to - h.from) * g->in_c : p->group_in;
    const int32_t runs = joined ? (h.to > h.from) : h.to - h.from;
    const int32_t first = ((image * g->in_h + top) * g->in_w + left) * g->in_c;

    for (int32_t c = c0; c < c1; ++c) {
        const int32_t group = p->group_in == g->in_c ? 0 : c / p->group_out;
        uint32_t sum = 0;
        for (int32_t ky = v.from; ky < v.to; ++ky) {
            const int32_t place = ky * g->dilation_h * g->in_w + h.from * g->dilation_w;
            const int8_t *codes = x + (first + place * g->in_c + group * p->group_in);
            const int8_t *weights = p->weights + ((c * g->k_h + ky) * g->k_w + h.from) * p->group_in;
            for (int32_t k = 0; k < runs; ++k) {
                sum = tms_dot(sum, codes, weights, run, p->offset);
                codes += g->dilation_w * g->in_c;
                weights += p->group_in;
            }
        }
        out[c] = tms_output_code(&p->r, sum, c);
    }
}
