#include "elementwise.h"

#include "codes.h"
#include "fixed.h"
#include "pairs.h"

static inline int32_t on_common_scale(int8_t code, const tms_operand *operand, int32_t left_shift) {
    const int32_t value = tms_shift_left(code - operand->zero_point, left_shift);
    return tms_rescale(value, operand->multiplier, operand->shift);
}

static inline int8_t sum_of(int8_t a, int8_t b, int32_t sign, const tms_sum *sum) {
    const int32_t first = on_common_scale(a, &sum->a, sum->left_shift);
    const int32_t second = on_common_scale(b, &sum->b, sum->left_shift);
    const int32_t total = tms_rescale(first + sign * second, sum->output.multiplier, sum->output.shift);
    return (int8_t)tms_code(total, sum->output.zero_point, sum->low, sum->high);
}

static inline int8_t product_of(int8_t a, int8_t b, const tms_product *product) {
    const int32_t exact = (a - product->a_zero_point) * (b - product->b_zero_point);
    const int32_t total = tms_rescale(exact, product->output.multiplier, product->output.shift);
    return (int8_t)tms_code(total, product->output.zero_point, product->low, product->high);
}

void tms_add_int8(int8_t *out, const int8_t *a, const int8_t *b, const tms_sum *sum) {
    TMS_FOR_PAIRS(int8_t, &sum->walk, sum_of(x, y, 1, sum))
}

void tms_sub_int8(int8_t *out, const int8_t *a, const int8_t *b, const tms_sum *sum) {
    TMS_FOR_PAIRS(int8_t, &sum->walk, sum_of(x, y, -1, sum))
}

void tms_mul_int8(int8_t *out, const int8_t *a, const int8_t *b, const tms_product *product) {
    TMS_FOR_PAIRS(int8_t, &product->walk, product_of(x, y, product))
}
