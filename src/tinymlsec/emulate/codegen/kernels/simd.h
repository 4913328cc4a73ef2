/* Instructions of the DSP extension of Arm's M-profile, and the same integers in portable C for other processors. */
#ifndef TMS_SIMD_H
#define TMS_SIMD_H

#include <stdint.h>

static inline uint32_t tms_pair(int32_t low, int32_t high) {
    return ((uint32_t)low & 0xffffu) | ((uint32_t)high << 16);
}

static inline uint32_t tms_ror8(uint32_t word) { return (word >> 8) | (word << 24); }

#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32)

#include <arm_acle.h>

/* Four codes as a word; the address need not be aligned. */
static inline uint32_t tms_load4(const int8_t *at) {
    uint32_t word;
    __builtin_memcpy(&word, at, 4);
    return word;
}

/* Bytes 0 and 2, sign-extended to halfwords. */
static inline uint32_t tms_sxtb16(uint32_t word) { return (uint32_t)__sxtb16((int8x4_t)word); }

/* The same, added to the halfwords of `to`. */
static inline uint32_t tms_sxtab16(uint32_t to, uint32_t word) {
    return (uint32_t)__sxtab16((int16x2_t)to, (int8x4_t)word);
}

/* sum + product of the low halfwords + product of the high halfwords. */
static inline uint32_t tms_smlad(uint32_t a, uint32_t b, uint32_t sum) {
    return (uint32_t)__smlad((int16x2_t)a, (int16x2_t)b, (int32_t)sum);
}

/* sum + product of the low, and of the high halfwords. */
static inline uint32_t tms_smlabb(uint32_t a, uint32_t b, uint32_t sum) {
    return (uint32_t)__smlabb((int32_t)a, (int32_t)b, (int32_t)sum);
}
static inline uint32_t tms_smlatt(uint32_t a, uint32_t b, uint32_t sum) {
    return (uint32_t)__smlatt((int32_t)a, (int32_t)b, (int32_t)sum);
}

#else

static inline uint32_t tms_load4(const int8_t *at) {
    return (uint32_t)(uint8_t)at[0] | (uint32_t)(uint8_t)at[1] << 8 | (uint32_t)(uint8_t)at[2] << 16 |
           (uint32_t)(uint8_t)at[3] << 24;
}

static inline int32_t tms_low(uint32_t pair) { return (int16_t)(uint16_t)pair; }
static inline int32_t tms_high(uint32_t pair) { return (int16_t)(uint16_t)(pair >> 16); }

static inline uint32_t tms_sxtb16(uint32_t word) {
    return tms_pair((int8_t)(uint8_t)word, (int8_t)(uint8_t)(word >> 16));
}

static inline uint32_t tms_sxtab16(uint32_t to, uint32_t word) {
    const uint32_t pair = tms_sxtb16(word);
    return tms_pair(tms_low(to) + tms_low(pair), tms_high(to) + tms_high(pair));
}

static inline uint32_t tms_smlad(uint32_t a, uint32_t b, uint32_t sum) {
    return sum + (uint32_t)(tms_low(a) * tms_low(b)) + (uint32_t)(tms_high(a) * tms_high(b));
}

static inline uint32_t tms_smlabb(uint32_t a, uint32_t b, uint32_t sum) {
    return sum + (uint32_t)(tms_low(a) * tms_low(b));
}
static inline uint32_t tms_smlatt(uint32_t a, uint32_t b, uint32_t sum) {
    return sum + (uint32_t)(tms_high(a) * tms_high(b));
}

#endif
#endif
