/* MEAN over any axes. */
#ifndef TMS_MEAN_H
#define TMS_MEAN_H

#include "walk.h"

typedef struct {
    tms_walk kept;    /* axes that stay: `first` are steps in the input */
    tms_walk reduced; /* axes that the mean runs over, likewise */
} tms_axes;

typedef struct {
    int32_t input_zero_point;
    int32_t multiplier; /* divides by the number of elements as well */
    int32_t shift;
    int32_t zero_point;
} tms_mean;

void tms_mean_int8(int8_t *out, const int8_t *in, const tms_axes *axes, const tms_mean *mean);
void tms_mean_float(float *out, const float *in, const tms_axes *axes);

#endif
