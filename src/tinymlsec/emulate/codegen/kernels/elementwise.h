/* ADD, SUB and MUL on int8, with broadcasting. */
#ifndef TMS_ELEMENTWISE_H
#define TMS_ELEMENTWISE_H

#include "walk.h"

typedef struct {
    int32_t zero_point;
    int32_t multiplier;
    int32_t shift;
} tms_operand;

typedef struct {
    tms_walk walk; /* first array: operand a; second: operand b; the output is dense */
    tms_operand a;
    tms_operand b;
    int32_t left_shift; /* head room that operands get before they are brought to one scale */
    tms_operand output;
    int32_t low;
    int32_t high;
} tms_sum;

typedef struct {
    tms_walk walk;
    int32_t a_zero_point;
    int32_t b_zero_point;
    tms_operand output;
    int32_t low;
    int32_t high;
} tms_product;

void tms_add_int8(int8_t *out, const int8_t *a, const int8_t *b, const tms_sum *sum);
void tms_sub_int8(int8_t *out, const int8_t *a, const int8_t *b, const tms_sum *sum);
void tms_mul_int8(int8_t *out, const int8_t *a, const int8_t *b, const tms_product *product);

#endif
