#include "quantize.h"

#include "codes.h"
#include "fixed.h"

#define TMS_CONVERT(NAME, IN, OUT)                                                                        \
    void NAME(OUT *out, const IN *in, int32_t count, const tms_conversion *to) {                          \
        for (int32_t k = 0; k < count; ++k) {                                                             \
            const int32_t value = tms_rescale(in[k] - to->input_zero_point, to->multiplier, to->shift);   \
            out[k] = (OUT)tms_code(value, to->zero_point, to->low, to->high);                             \
        }                                                                                                 \
    }

TMS_CONVERT(tms_quantize_int8_int8, int8_t, int8_t)
TMS_CONVERT(tms_quantize_int8_uint8, int8_t, uint8_t)
TMS_CONVERT(tms_quantize_int8_int16, int8_t, int16_t)
TMS_CONVERT(tms_quantize_uint8_int8, uint8_t, int8_t)
TMS_CONVERT(tms_quantize_int16_int8, int16_t, int8_t)
TMS_CONVERT(tms_quantize_int16_int16, int16_t, int16_t)

/* To nearest, ties away from zero. Every step is exact: only then is a half told from its neighbors. */
static inline int32_t nearest(float value) {
    const float far = 1048576.0f; /* beyond every code and zero point, and still with halves of its own */
    if (!(value == value)) return 0;
    if (value >= far) return 1048576;
    if (value <= -far) return -1048576;
    const int32_t whole = (int32_t)value;
    const float rest = value - (float)whole;
    return whole + (rest >= 0.5f) - (rest <= -0.5f);
}

#define TMS_FROM_FLOAT(NAME, OUT, LOW, HIGH)                                                      \
    void NAME(OUT *out, const float *in, int32_t count, float scale, int32_t zero_point) {        \
        for (int32_t k = 0; k < count; ++k)                                                       \
            out[k] = (OUT)tms_code(nearest(in[k] / scale), zero_point, LOW, HIGH);                \
    }

TMS_FROM_FLOAT(tms_quantize_float_int8, int8_t, INT8_MIN, INT8_MAX)
TMS_FROM_FLOAT(tms_quantize_float_int16, int16_t, INT16_MIN, INT16_MAX)

/* The difference has at most 17 bits and is exact; the product is rounded once. */
#define TMS_TO_FLOAT(NAME, IN)                                                                    \
    void NAME(float *out, const IN *in, int32_t count, float scale, int32_t zero_point) {         \
        for (int32_t k = 0; k < count; ++k) out[k] = (float)(in[k] - zero_point) * scale;         \
    }

TMS_TO_FLOAT(tms_dequantize_int8, int8_t)
TMS_TO_FLOAT(tms_dequantize_uint8, uint8_t)
TMS_TO_FLOAT(tms_dequantize_int16, int16_t)
