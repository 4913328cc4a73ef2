/* Where a window of taps lies on an image: taps beyond the border are left out. */
#ifndef TMS_WINDOW_H
#define TMS_WINDOW_H

#include <stdint.h>

typedef struct {
    int32_t in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t k_h, k_w, stride_h, stride_w, dilation_h, dilation_w, pad_h, pad_w;
} tms_geometry;

/* Taps `from` to `to` - 1 of `taps` fall on places 0 to `size` - 1; the first one is at `start`. */
typedef struct {
    int32_t from, to;
} tms_taps;

static inline tms_taps tms_inside(int32_t start, int32_t size, int32_t taps, int32_t dilation) {
    tms_taps t = {0, taps};
    while (t.from < taps && start + t.from * dilation < 0) ++t.from;
    while (t.to > t.from && start + (t.to - 1) * dilation >= size) --t.to;
    return t;
}

/* Rows of all images of a batch are counted on; the image that a row belongs to, and the row in it. */
static inline int32_t tms_image_of(int32_t *row, int32_t rows) {
    int32_t image = 0;
    for (; *row >= rows; *row -= rows) ++image;
    return image;
}

#endif
