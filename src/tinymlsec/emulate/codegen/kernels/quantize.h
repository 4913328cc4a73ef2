/* QUANTIZE and DEQUANTIZE; RELU on int8 is a QUANTIZE that is clamped. */
#ifndef TMS_QUANTIZE_H
#define TMS_QUANTIZE_H

#include <stdint.h>

typedef struct {
    int32_t input_zero_point;
    int32_t multiplier;
    int32_t shift;
    int32_t zero_point;
    int32_t low;
    int32_t high;
} tms_conversion;

void tms_quantize_int8_int8(int8_t *out, const int8_t *in, int32_t count, const tms_conversion *to);
void tms_quantize_int8_uint8(uint8_t *out, const int8_t *in, int32_t count, const tms_conversion *to);
void tms_quantize_int8_int16(int16_t *out, const int8_t *in, int32_t count, const tms_conversion *to);
void tms_quantize_uint8_int8(int8_t *out, const uint8_t *in, int32_t count, const tms_conversion *to);
void tms_quantize_int16_int8(int8_t *out, const int16_t *in, int32_t count, const tms_conversion *to);
void tms_quantize_int16_int16(int16_t *out, const int16_t *in, int32_t count, const tms_conversion *to);

/* Real numbers to codes: the quotient in single precision, to nearest, ties away from zero. What is beyond the codes
   becomes the nearest one, and what is not a number the zero point. */
void tms_quantize_float_int8(int8_t *out, const float *in, int32_t count, float scale, int32_t zero_point);
void tms_quantize_float_int16(int16_t *out, const float *in, int32_t count, float scale, int32_t zero_point);

void tms_dequantize_int8(float *out, const int8_t *in, int32_t count, float scale, int32_t zero_point);
void tms_dequantize_uint8(float *out, const uint8_t *in, int32_t count, float scale, int32_t zero_point);
void tms_dequantize_int16(float *out, const int16_t *in, int32_t count, float scale, int32_t zero_point);

#endif
