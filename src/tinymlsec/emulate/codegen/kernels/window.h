/* Where the window of an output pixel lies on an image. Taps beyond the border are left out. */
#ifndef TMS_WINDOW_H
#define TMS_WINDOW_H

#include <stdint.h>

#include "compiler.h"

typedef struct {
    int32_t in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t k_h, k_w, stride_h, stride_w, dilation_h, dilation_w, pad_h, pad_w;
} tms_geometry;

/* The taps of one output pixel that lie on the image: a block of rows and columns. */
typedef struct {
    int32_t rows, columns;
    int32_t tap;                   /* number of the first one among all taps of the window */
    int32_t at;                    /* its first channel, counted from the first one of all images */
    int32_t row_step, column_step; /* from tap to tap, in the image */
} tms_view;

/* Taps `from` to `to` - 1 along one axis. */
typedef struct {
    int32_t from, to;
} tms_taps;

/* Those of `taps` that fall on places 0 to `size` - 1, where the first one is at `start`. */
static inline tms_taps tms_inside(int32_t start, int32_t size, int32_t taps, int32_t dilation) {
    tms_taps t = {0, taps};
    TMS_ROLLED for (int32_t at = start; at < 0; at += dilation) ++t.from;
    TMS_ROLLED for (int32_t at = start + (taps - 1) * dilation; at >= size; at -= dilation) --t.to;
    if (t.to < t.from) t.to = t.from; /* none */
    return t;
}

/* The view of an output pixel; rows are counted on through all images of a batch. */
static inline tms_view tms_view_of(const tms_geometry *g, int32_t row, int32_t column) {
    int32_t image = 0;
    TMS_ROLLED for (; row >= g->out_h; row -= g->out_h) ++image;
    const int32_t top = row * g->stride_h - g->pad_h, left = column * g->stride_w - g->pad_w;
    const tms_taps v = tms_inside(top, g->in_h, g->k_h, g->dilation_h);
    const tms_taps h = tms_inside(left, g->in_w, g->k_w, g->dilation_w);
    const int32_t y = top + v.from * g->dilation_h, x = left + h.from * g->dilation_w;
    tms_view view;
    view.rows = v.to - v.from;
    view.columns = h.to - h.from;
    view.tap = v.from * g->k_w + h.from;
    view.at = ((image * g->in_h + y) * g->in_w + x) * g->in_c;
    view.row_step = g->dilation_h * g->in_w * g->in_c;
    view.column_step = g->dilation_w * g->in_c;
    return view;
}

#endif
