/* CONV_2D on int8. */
#ifndef TMS_CONV_H
#define TMS_CONV_H

#include "requantize.h"
#include "window.h"

typedef struct {
    tms_geometry g;
    int32_t group_in, group_out; /* channels a group reads, and writes */
    int32_t offset;              /* added to input codes */
    const int8_t *weights;       /* out_c x k_h x k_w x group_in */
    tms_requantize r;
} tms_conv;

/* Channels c0 to c1 - 1 of the output pixel in a row and a column. */
void tms_conv_pixel(const tms_conv *p, const int8_t *x, int8_t *y, int32_t row, int32_t column, int32_t c0, int32_t c1);

#endif
