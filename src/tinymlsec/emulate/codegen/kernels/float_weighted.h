/* CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED on float32: sums in the order of the runtime's, bias last. */
#ifndef TMS_FLOAT_WEIGHTED_H
#define TMS_FLOAT_WEIGHTED_H

#include "window.h"

typedef struct {
    const float *weights, *bias; /* bias may be NULL */
    float low, high;
} tms_float_sums;

typedef struct {
    tms_geometry g;
    int32_t group_in, group_out; /* channels a group reads, and writes */
    tms_float_sums s;            /* weights: out_c x k_h x k_w x group_in */
} tms_float_conv;

typedef struct {
    tms_geometry g;
    int32_t multiplier; /* output channels of each input channel */
    tms_float_sums s;   /* weights: k_h x k_w x out_c */
} tms_float_depthwise;

typedef struct {
    int32_t depth, units;
    tms_float_sums s; /* weights: units x depth */
} tms_float_dense;

/* Channels c0 to c1 - 1 of the output pixel in a row and a column; of one row. */
void tms_float_conv_pixel(const tms_float_conv *p, const float *x, float *y, int32_t row, int32_t column, int32_t c0,
                          int32_t c1);
void tms_float_depthwise_pixel(const tms_float_depthwise *p, const float *x, float *y, int32_t row, int32_t column,
                               int32_t c0, int32_t c1);
void tms_float_dense_row(const tms_float_dense *p, const float *x, float *y, int32_t row, int32_t c0, int32_t c1);

#endif
