#include "activation.h"

#include "codes.h"
#include "fixed.h"

void tms_leaky_int8(int8_t *out, const int8_t *in, int32_t count, const tms_slopes *slopes) {
    for (int32_t k = 0; k < count; ++k) {
        const int32_t value = in[k] - slopes->input_zero_point;
        const int32_t result = value >= 0
            ? tms_rescale(value, slopes->multiplier, slopes->shift)
            : slopes->below_sign * tms_rescale(value, slopes->below_multiplier, slopes->below_shift);
        out[k] = (int8_t)tms_code(result, slopes->zero_point, slopes->low, slopes->high);
    }
}

void tms_clamp_int8(int8_t *out, const int8_t *in, int32_t count, int32_t low, int32_t high) {
    for (int32_t k = 0; k < count; ++k) out[k] = (int8_t)tms_clamp(in[k], low, high);
}
