/* From sums of products to output codes. */
#ifndef TMS_REQUANTIZE_H
#define TMS_REQUANTIZE_H

#include "fixed.h"

typedef struct {
    const int32_t *bias;       /* one a channel, or NULL */
    const int32_t *multiplier; /* one a channel, or one for all */
    const int8_t *shift;
    int32_t step; /* 1: multiplier and shift of channel c are at c; 0: at 0 */
    int32_t offset, low, high;
} tms_requantize;

static inline int8_t tms_output_code(const tms_requantize *r, uint32_t sum, int32_t channel) {
    const int32_t at = channel * r->step;
    if (r->bias) sum += (uint32_t)r->bias[channel];
    const int32_t scaled = tms_rescale((int32_t)sum, r->multiplier[at], r->shift[at]);
    return (int8_t)tms_clamp(scaled + r->offset, r->low, r->high);
}

#endif
