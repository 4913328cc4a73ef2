/* Moving bytes without a C library. */
#ifndef TMS_MEMORY_KERNELS_H
#define TMS_MEMORY_KERNELS_H

#include <stdint.h>

/* The two do not overlap, or are the same. */
static inline void tms_move_bytes(void *to, const void *from, uint32_t bytes) {
#if defined(__GNUC__)
    if (to != from) __builtin_memcpy(to, from, bytes);
#else
    uint8_t *d = (uint8_t *)to;
    const uint8_t *s = (const uint8_t *)from;
    for (uint32_t i = 0; i < bytes; ++i) d[i] = s[i];
#endif
}

static inline void tms_fill_bytes(void *to, int value, uint32_t bytes) {
#if defined(__GNUC__)
    __builtin_memset(to, value, bytes);
#else
    uint8_t *d = (uint8_t *)to;
    for (uint32_t i = 0; i < bytes; ++i) d[i] = (uint8_t)value;
#endif
}

#endif
