/* Fixed-point arithmetic that all kernels share: 32-bit sums times a ratio of scales, rounded twice. */
#ifndef TMS_FIXED_H
#define TMS_FIXED_H

#include <stddef.h>
#include <stdint.h>

/* Shifts of negative numbers to the left, and sums beyond 32 bits, are done in unsigned numbers: they wrap. */
static inline int32_t tms_shift_left(int32_t a, int32_t bits) { return (int32_t)((uint32_t)a << bits); }

static inline int32_t tms_clamp(int32_t value, int32_t low, int32_t high) {
    return value < low ? low : value > high ? high : value;
}

/* High half of twice the product, rounded; ties go up. The one overflow saturates. */
static inline int32_t tms_high_mul(int32_t a, int32_t b) {
    if (a == INT32_MIN && b == INT32_MIN) return INT32_MAX;
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

/* value / 2^bits, to nearest, ties away from zero; bits 0 to 31. */
static inline int32_t tms_divide_by_power(int32_t value, int32_t bits) {
    const int32_t mask = (int32_t)((UINT32_C(1) << bits) - 1u);
    const int32_t threshold = (mask >> 1) + (value < 0);
    return (value >> bits) + ((value & mask) > threshold);
}

/* value * multiplier * 2^(shift - 31), rounded after the product and after a shift to the right: a multiplier of 0 or
   more, and a shift from -31 to 30. */
static inline int32_t tms_rescale(int32_t value, int32_t multiplier, int32_t shift) {
    const int64_t half = INT64_C(1) << 30;
    const int64_t exact = (int64_t)(shift > 0 ? tms_shift_left(value, shift) : value) * multiplier;
    const int32_t product = (int32_t)((exact + half) >> 31);
    if (shift >= 0) return product;
    /* To nearest, ties away from zero: one less where negative, then ties go up. No product is INT32_MIN. */
    const int32_t halves = (product + (product >> 31)) >> (-1 - shift);
    return (halves >> 1) + (halves & 1);
}

#endif
