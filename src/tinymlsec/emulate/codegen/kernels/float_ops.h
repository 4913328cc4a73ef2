/* Operators on float32, element by element or along the last axis. */
#ifndef TMS_FLOAT_OPS_H
#define TMS_FLOAT_OPS_H

#include "walk.h"

void tms_add_float(float *out, const float *a, const float *b, const tms_walk *walk, float low, float high);
void tms_sub_float(float *out, const float *a, const float *b, const tms_walk *walk, float low, float high);
void tms_mul_float(float *out, const float *a, const float *b, const tms_walk *walk, float low, float high);
void tms_clamp_float(float *out, const float *in, int32_t count, float low, float high);
void tms_leaky_float(float *out, const float *in, int32_t count, float slope);
void tms_logistic_float(float *out, const float *in, int32_t count);
void tms_tanh_float(float *out, const float *in, int32_t count);
void tms_softmax_float(float *out, const float *in, int32_t rows, int32_t classes, float beta);

#endif
