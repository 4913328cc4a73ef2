#include "float_ops.h"

#include "pairs.h"
#include "real.h"

void tms_add_float(float *out, const float *a, const float *b, const tms_walk *walk, float low, float high) {
    TMS_FOR_PAIRS(float, walk, tms_clampf(x + y, low, high))
}

void tms_sub_float(float *out, const float *a, const float *b, const tms_walk *walk, float low, float high) {
    TMS_FOR_PAIRS(float, walk, tms_clampf(x - y, low, high))
}

void tms_mul_float(float *out, const float *a, const float *b, const tms_walk *walk, float low, float high) {
    TMS_FOR_PAIRS(float, walk, tms_clampf(x * y, low, high))
}

void tms_clamp_float(float *out, const float *in, int32_t count, float low, float high) {
    for (int32_t k = 0; k < count; ++k) out[k] = tms_clampf(in[k], low, high);
}

void tms_leaky_float(float *out, const float *in, int32_t count, float slope) {
    for (int32_t k = 0; k < count; ++k) out[k] = in[k] > 0.0f ? in[k] : in[k] * slope;
}

/* exp of a negative number never overflows, and its quotient keeps its digits on both sides. */
void tms_logistic_float(float *out, const float *in, int32_t count) {
    for (int32_t k = 0; k < count; ++k) {
        const float small = tms_expf(in[k] < 0.0f ? in[k] : -in[k]);
        out[k] = (in[k] < 0.0f ? small : 1.0f) / (1.0f + small);
    }
}

void tms_tanh_float(float *out, const float *in, int32_t count) {
    for (int32_t k = 0; k < count; ++k) out[k] = tms_tanhf(in[k]);
}

void tms_softmax_float(float *out, const float *in, int32_t rows, int32_t classes, float beta) {
    for (int32_t row = 0; row < rows; ++row, in += classes, out += classes) {
        float largest = in[0], sum = 0.0f;
        for (int32_t k = 1; k < classes; ++k) largest = in[k] > largest ? in[k] : largest;
        for (int32_t k = 0; k < classes; ++k) {
            out[k] = tms_expf((in[k] - largest) * beta);
            sum += out[k];
        }
        for (int32_t k = 0; k < classes; ++k) out[k] /= sum;
    }
}
