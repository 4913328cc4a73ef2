#include "mean.h"

#include "codes.h"
#include "fixed.h"

/* Statements for every element that a mean runs over; `offset` is where it lies from the first one on. */
#define TMS_FOR_REDUCED(WALK, STATEMENT)                                                          \
    for (int32_t row = 0, rows = tms_walk_rows(WALK); row < rows; ++row) {                        \
        const int32_t start = tms_walk_offset(WALK, (WALK)->first, TMS_OUTER, row);               \
        for (int32_t line = 0; line < (WALK)->size[TMS_OUTER]; ++line)                            \
            for (int32_t k = 0; k < (WALK)->size[TMS_OUTER + 1]; ++k) {                           \
                const int32_t offset =                                                            \
                    start + line * (WALK)->first[TMS_OUTER] + k * (WALK)->first[TMS_OUTER + 1];   \
                STATEMENT                                                                         \
            }                                                                                     \
    }

static int32_t sum_int8(const int8_t *from, int32_t zero_point, const tms_walk *reduced) {
    int32_t sum = 0;
    TMS_FOR_REDUCED(reduced, sum += from[offset] - zero_point;)
    return sum;
}

static float sum_float(const float *from, const tms_walk *reduced) {
    float sum = 0.0f;
    TMS_FOR_REDUCED(reduced, sum += from[offset];)
    return sum;
}

void tms_mean_int8(int8_t *out, const int8_t *in, const tms_axes *axes, const tms_mean *mean) {
    const tms_walk *kept = &axes->kept;
    for (int32_t k = 0, count = tms_walk_elements(kept); k < count; ++k) {
        const int8_t *from = in + tms_walk_offset(kept, kept->first, TMS_AXES, k);
        const int32_t sum = sum_int8(from, mean->input_zero_point, &axes->reduced);
        const int32_t value = tms_rescale(sum, mean->multiplier, mean->shift);
        out[k] = (int8_t)tms_code(value, mean->zero_point, INT8_MIN, INT8_MAX);
    }
}

void tms_mean_float(float *out, const float *in, const tms_axes *axes) {
    const tms_walk *kept = &axes->kept;
    const float elements = (float)tms_walk_elements(&axes->reduced);
    for (int32_t k = 0, count = tms_walk_elements(kept); k < count; ++k)
        out[k] = sum_float(in + tms_walk_offset(kept, kept->first, TMS_AXES, k), &axes->reduced) / elements;
}
