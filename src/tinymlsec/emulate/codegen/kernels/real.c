#include "real.h"

#include <stdint.h>

/* 2^power for a power of -126 to 127. */
static inline float power_of_two(int32_t power) {
    union {
        uint32_t bits;
        float value;
    } number = {(uint32_t)(power + 127) << 23};
    return number.value;
}

float tms_expf(float x) {
    /* ln 2 in two parts, the first short enough for its products with whole numbers to be exact */
    const float per_ln2 = 1.44269504f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    if (!(x == x)) return x;
    if (x < -87.0f) return 0.0f;
    if (x > 88.722f) return power_of_two(127) * power_of_two(127);
    const float scaled = x * per_ln2;
    const int32_t whole = (int32_t)(scaled < 0.0f ? scaled - 0.5f : scaled + 0.5f);
    const float rest = (x - (float)whole * ln2_high) - (float)whole * ln2_low; /* at most ln 2 / 2 */
    /* Taylor's polynomial of degree seven: what is left out is below 2^-27 */
    float sum = 1.0f / 5040.0f;
    sum = sum * rest + 1.0f / 720.0f;
    sum = sum * rest + 1.0f / 120.0f;
    sum = sum * rest + 1.0f / 24.0f;
    sum = sum * rest + 1.0f / 6.0f;
    sum = sum * rest + 0.5f;
    sum = sum * rest * rest + rest;
    /* in two steps, since 2^128 is no number by itself */
    const int32_t half = whole / 2;
    return (1.0f + sum) * power_of_two(half) * power_of_two(whole - half);
}

float tms_tanhf(float x) {
    const float magnitude = x < 0.0f ? -x : x;
    if (magnitude < 0.25f) { /* the quotient below would lose digits here; the series is x - x^3/3 + 2x^5/15 - ... */
        const float s = x * x;
        float sum = -1382.0f / 155925.0f;
        sum = sum * s + 62.0f / 2835.0f;
        sum = sum * s - 17.0f / 315.0f;
        sum = sum * s + 2.0f / 15.0f;
        sum = sum * s - 1.0f / 3.0f;
        return x + x * s * sum;
    }
    const float result = 1.0f - 2.0f / (tms_expf(2.0f * magnitude) + 1.0f);
    return x < 0.0f ? -result : result;
}
