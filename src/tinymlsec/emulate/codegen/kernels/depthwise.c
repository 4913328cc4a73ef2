#include "depthwise.h"

#include "dot.h"

/* Where the window of one output pixel lies. */
typedef struct {
    tms_taps v, h;
    const int8_t *image;
    int32_t first; /* of the tap at the top left, which may lie outside */
} tms_view;

static uint32_t tms_channel(const tms_depthwise *p, const tms_view *s, int32_t c) {
    const tms_geometry *g = &p->g;
    const int32_t from = p->multiplier == 1 ? c : c / p->multiplier;
    uint32_t sum = 0;
    for (int32_t ky = s->v.from; ky < s->v.to; ++ky) {
        for (int32_t kx = s->h.from; kx < s->h.to; ++kx) {
            const int32_t place = ky * g->dilation_h * g->in_w + kx * g->dilation_w;
            const int8_t *x = s->image + (s->first + place * g->in_c + from);
            sum += (uint32_t)((*x + p->offset) * p->weights[(ky * g->k_w + kx) * g->out_c + c]);
        }
    }
    return sum;
}

static void tms_channels(const tms_depthwise *p, const tms_view *s, int32_t c, uint32_t *sums) {
    const tms_geometry *g = &p->g;
    for (int32_t k = 0; k < TMS_COLUMNS; ++k) sums[k] = 0;
    for (int32_t ky = s->v.from; ky < s->v.to; ++ky) {
        const int32_t place = ky * g->dilation_h * g->in_w + s->h.from * g->dilation_w;
        const int8_t *x = s->image + (s->first + place * g->in_c + c);
        const int8_t *w = p->weights + (ky * g->k_w + s->h.from) * g->out_c + c;
        for (int32_t kx = s->h.from; kx < s->h.to; ++kx) {
            tms_columns(sums, x, w, p->offset);
            x += g->dilation_w * g->in_c;
            w += g->out_c;
        }
    }
}

void tms_depthwise_pixel(const tms_depthwise *p, const int8_t *x, int8_t *y, int32_t row, int32_t column, int32_t c0,
                         int32_t c1) {
    const tms_geometry *g = &p->g;
    int8_t *out = y + (row * g->out_w + column) * g->out_c;
    const int32_t image = tms_image_of(&row, g->out_h);
    const int32_t top = row * g->stride_h - g->pad_h, left = column * g->stride_w - g->pad_w;
    tms_view s;
    s.v = tms_inside(top, g->in_h, g->k_h, g->dilation_h);
    s.h = tms_inside(left, g->in_w, g->k_w, g->dilation_w);
    s.image = x;
    s.first = ((image * g->in_h + top) * g->in_w + left) * g->in_c;

    int32_t c = c0;
    for (; p->multiplier == 1 && c + TMS_COLUMNS <= c1; c += TMS_COLUMNS) {
        uint32_t sums[TMS_COLUMNS];
        tms_channels(p, &s, c, sums);
        for (int32_t k = 0; k < TMS_COLUMNS; ++k) out[c + k] = tms_output_code(&p->r, sums[k], c + k);
    }
    for (; c < c1; ++c) out[c] = tms_output_code(&p->r, tms_channel(p, &s, c), c);
}
