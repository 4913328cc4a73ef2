/* RELU, RELU6 and LEAKY_RELU on int8. */
#ifndef TMS_ACTIVATION_H
#define TMS_ACTIVATION_H

#include <stdint.h>

typedef struct {
    int32_t input_zero_point;
    int32_t multiplier; /* from the zero point upwards */
    int32_t shift;
    int32_t below_multiplier; /* below it: the magnitude of the slope, and its sign */
    int32_t below_shift;
    int32_t below_sign;
    int32_t zero_point;
    int32_t low;
    int32_t high;
} tms_slopes;

void tms_leaky_int8(int8_t *out, const int8_t *in, int32_t count, const tms_slopes *slopes);
void tms_clamp_int8(int8_t *out, const int8_t *in, int32_t count, int32_t low, int32_t high);

#endif
