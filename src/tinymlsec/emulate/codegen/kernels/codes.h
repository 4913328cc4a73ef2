/* From a rescaled value to the code of an output. */
#ifndef TMS_CODES_H
#define TMS_CODES_H

#include "fixed.h"

/* value + zero_point, clamped; clamped first, so that no value of 32 bits overflows. */
static inline int32_t tms_code(int32_t value, int32_t zero_point, int32_t low, int32_t high) {
    return tms_clamp(value, low - zero_point, high - zero_point) + zero_point;
}

#endif
