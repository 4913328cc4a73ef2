/* SOFTMAX, LOGISTIC and TANH on int8. */
#ifndef TMS_SQUASH_H
#define TMS_SQUASH_H

#include <stdint.h>

typedef struct {
    int32_t zero_point;
    int32_t multiplier; /* to fixed point */
    int32_t left_shift;
    int32_t radius; /* values (SOFTMAX: differences) beyond it saturate */
} tms_curve;

void tms_logistic_int8(int8_t *out, const int8_t *in, int32_t count, const tms_curve *curve);
void tms_tanh_int8(int8_t *out, const int8_t *in, int32_t count, const tms_curve *curve);
void tms_softmax_int8(int8_t *out, const int8_t *in, int32_t rows, int32_t classes, const tms_curve *curve);
void tms_softmax_int8_int16(int16_t *out, const int8_t *in, int32_t rows, int32_t classes, const tms_curve *curve);

#endif
