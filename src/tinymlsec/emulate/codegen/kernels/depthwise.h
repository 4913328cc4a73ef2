/* DEPTHWISE_CONV_2D on int8. */
#ifndef TMS_DEPTHWISE_H
#define TMS_DEPTHWISE_H

#include "requantize.h"
#include "window.h"

typedef struct {
    tms_geometry g;
    int32_t multiplier;    /* output channels of each input channel */
    int32_t offset;        /* added to input codes */
    const int8_t *weights; /* k_h x k_w x out_c */
    tms_requantize r;
} tms_depthwise;

/* Channels c0 to c1 - 1 of the output pixel in a row and a column. */
void tms_depthwise_pixel(const tms_depthwise *p, const int8_t *x, int8_t *y, int32_t row, int32_t column, int32_t c0,
                         int32_t c1);

#endif
