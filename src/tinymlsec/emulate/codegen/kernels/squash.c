#include "squash.h"

#include "curves.h"
#include "fixed.h"

#define SUM_BITS 12 /* integer bits of the sum of a row's exponentials */

static inline int32_t to_fixed(int32_t value, const tms_curve *curve) {
    return tms_high_mul(tms_shift_left(value, curve->left_shift), curve->multiplier);
}

void tms_logistic_int8(int8_t *out, const int8_t *in, int32_t count, const tms_curve *curve) {
    for (int32_t k = 0; k < count; ++k) {
        const int32_t value = in[k] - curve->zero_point;
        int32_t code = value <= -curve->radius ? INT8_MIN : INT8_MAX;
        if (value > -curve->radius && value < curve->radius)
            code = tms_divide_by_power(tms_logistic(to_fixed(value, curve)), 31 - 8) + INT8_MIN;
        out[k] = (int8_t)tms_clamp(code, INT8_MIN, INT8_MAX);
    }
}

void tms_tanh_int8(int8_t *out, const int8_t *in, int32_t count, const tms_curve *curve) {
    for (int32_t k = 0; k < count; ++k) {
        const int32_t value = in[k] - curve->zero_point;
        int32_t code = value <= -curve->radius ? INT8_MIN : INT8_MAX;
        if (value > -curve->radius && value < curve->radius)
            code = tms_divide_by_power(tms_tanh(to_fixed(value, curve)), 31 - 7);
        out[k] = (int8_t)tms_clamp(code, INT8_MIN, INT8_MAX);
    }
}

/* The exponential of a difference to the row's largest code, which is zero or less. */
static inline int32_t exponential(int32_t difference, const tms_curve *curve) {
    return difference < -curve->radius ? 0 : tms_exp_on_negative(to_fixed(difference, curve), 5);
}

/* 1 / sum as a mantissa, and the shift that brings exponential * mantissa to a probability of `bits` bits. */
typedef struct {
    int32_t largest;
    int32_t mantissa;
    int32_t shift;
} row_sum;

static row_sum sum_of_row(const int8_t *in, int32_t classes, int32_t bits, const tms_curve *curve) {
    int32_t largest = INT8_MIN, zeros = 0;
    uint32_t sum = 0;
    for (int32_t k = 0; k < classes; ++k) largest = in[k] > largest ? in[k] : largest;
    for (int32_t k = 0; k < classes; ++k)
        sum += (uint32_t)tms_divide_by_power(exponential(in[k] - largest, curve), SUM_BITS);
    while (!(sum & 0x80000000u) && zeros < 31) {
        sum <<= 1;
        ++zeros;
    }
    return (row_sum){largest, tms_one_over_one_plus((int32_t)(sum & 0x7fffffffu)), SUM_BITS - zeros + 31 - bits};
}

/* 0 to 2^bits - 1. A shift beyond 31 leaves nothing: so it is for rows whose exponentials add up to 512 or more. */
static inline int32_t probability(int32_t code, int32_t bits, const row_sum *sum, const tms_curve *curve) {
    if (sum->shift > 31) return 0;
    const int32_t product = tms_high_mul(exponential(code - sum->largest, curve), sum->mantissa);
    return tms_clamp(tms_divide_by_power(product, sum->shift), 0, (1 << bits) - 1);
}

void tms_softmax_int8(int8_t *out, const int8_t *in, int32_t rows, int32_t classes, const tms_curve *curve) {
    for (int32_t row = 0; row < rows; ++row, in += classes, out += classes) {
        const row_sum sum = sum_of_row(in, classes, 8, curve);
        for (int32_t k = 0; k < classes; ++k) out[k] = (int8_t)(probability(in[k], 8, &sum, curve) + INT8_MIN);
    }
}

void tms_softmax_int8_int16(int16_t *out, const int8_t *in, int32_t rows, int32_t classes, const tms_curve *curve) {
    for (int32_t row = 0; row < rows; ++row, in += classes, out += classes) {
        const row_sum sum = sum_of_row(in, classes, 16, curve);
        for (int32_t k = 0; k < classes; ++k) out[k] = (int16_t)(probability(in[k], 16, &sum, curve) + INT16_MIN);
    }
}
