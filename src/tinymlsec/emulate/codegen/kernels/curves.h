/* exp, reciprocal, logistic and tanh in 32-bit fixed point. A number with k integer bits stands for value * 2^(k - 31). */
#ifndef TMS_CURVES_H
#define TMS_CURVES_H

#include <stdint.h>

/* exp(value) for a value of zero or less with `integer_bits` (4 or 5) integer bits; no integer bits in the result. */
int32_t tms_exp_on_negative(int32_t value, int32_t integer_bits);

/* 1 / (1 + value) for a value in [0, 1]; no integer bits on either side. */
int32_t tms_one_over_one_plus(int32_t value);

/* 1 / (1 + exp(-value)) and tanh(value) for a value with four integer bits; no integer bits in the result. */
int32_t tms_logistic(int32_t value);
int32_t tms_tanh(int32_t value);

#endif
