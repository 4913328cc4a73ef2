#include "curves.h"

#include "fixed.h"

/* The scheme is that of gemmlowp (Jacob and Warden, 2015): exp by a polynomial of degree four on a quarter and one
   factor for every higher bit, 1 / (1 + x) by Newton's method. */

#define ONE INT32_MAX /* the largest number below one with no integer bits stands for one */

static inline int32_t saturate(int64_t value) {
    return value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : (int32_t)value;
}

/* exp(value) for a value in [-1/4, 0): Taylor's polynomial around -1/8. */
static int32_t exp_on_quarter(int32_t value) {
    const int32_t third = 715827883, exp_of_minus_eighth = 1895147668;
    const int32_t x = value + (1 << 28);
    const int32_t x2 = tms_high_mul(x, x);
    const int32_t x3 = tms_high_mul(x2, x), x4 = tms_high_mul(x2, x2);
    const int32_t cubic = tms_high_mul(tms_divide_by_power(x4, 2) + x3, third) + x2;
    return exp_of_minus_eighth + tms_high_mul(x + tms_divide_by_power(cubic, 1), exp_of_minus_eighth);
}

int32_t tms_exp_on_negative(int32_t value, int32_t integer_bits) {
    /* exp(-2^e) for e from -2 to 4 */
    static const int32_t factors[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    const int32_t fraction = 31 - integer_bits, quarter = 1 << (fraction - 2);
    if (value == 0) return ONE;
    const int32_t low = (value & (quarter - 1)) - quarter; /* in [-1/4, 0) */
    const int32_t rest = low - value;                      /* a multiple of a quarter */
    int32_t result = exp_on_quarter(tms_shift_left(low, integer_bits));
    for (int32_t e = -2; e < integer_bits; ++e)
        if (rest & (1 << (fraction + e))) result = tms_high_mul(result, factors[e + 2]);
    return result;
}

/* 2 / (1 + value), with two integer bits. */
static int32_t reciprocal_of_half(int32_t value) {
    const int32_t start = 1515870810, slope = -1010580540; /* 48/17 and -32/17 with two integer bits */
    const int32_t half = (int32_t)(((int64_t)value + ONE + 1) >> 1);
    int32_t x = start + tms_high_mul(half, slope);
    for (int32_t step = 0; step < 3; ++step) {
        const int32_t error = (1 << 29) - tms_high_mul(half, x);
        x += saturate((int64_t)tms_high_mul(x, error) * 4);
    }
    return x;
}

int32_t tms_one_over_one_plus(int32_t value) { return saturate((int64_t)reciprocal_of_half(value) * 2); }

int32_t tms_logistic(int32_t value) {
    if (value == 0) return 1 << 30;
    const int32_t magnitude = value < 0 ? -value : value;
    const int32_t positive = tms_one_over_one_plus(tms_exp_on_negative(-magnitude, 4));
    return value > 0 ? positive : ONE - positive;
}

int32_t tms_tanh(int32_t value) {
    if (value == 0) return 0;
    const int32_t magnitude = value < 0 ? -value : value;
    /* exp(-2 * magnitude): twice the value is the same integer with one more integer bit */
    const int32_t doubled = reciprocal_of_half(tms_exp_on_negative(-magnitude, 5));
    const int32_t result = saturate(((int64_t)doubled - (1 << 29)) * 4);
    return value < 0 ? -result : result;
}
