/* The loops of operators with two operands, each of which may be broadcast. */
#ifndef TMS_PAIRS_H
#define TMS_PAIRS_H

#include "walk.h"

/* Writes EXPRESSION of x and y, elements of a and b, to out, which is dense. The output may lie where an operand of its
   size lies: each element is read before it is written. */
#define TMS_FOR_PAIRS(TYPE, WALK, EXPRESSION)                                               \
    for (int32_t row = 0, rows = tms_walk_rows(WALK); row < rows; ++row) {                  \
        const TYPE *from_a = a + tms_walk_offset(WALK, (WALK)->first, TMS_OUTER, row);      \
        const TYPE *from_b = b + tms_walk_offset(WALK, (WALK)->second, TMS_OUTER, row);     \
        for (int32_t line = 0; line < (WALK)->size[TMS_OUTER]; ++line) {                    \
            const TYPE *at_a = from_a + line * (WALK)->first[TMS_OUTER];                    \
            const TYPE *at_b = from_b + line * (WALK)->second[TMS_OUTER];                   \
            for (int32_t k = 0; k < (WALK)->size[TMS_OUTER + 1]; ++k) {                     \
                const TYPE x = at_a[k * (WALK)->first[TMS_OUTER + 1]];                      \
                const TYPE y = at_b[k * (WALK)->second[TMS_OUTER + 1]];                     \
                *out++ = (EXPRESSION);                                                      \
            }                                                                               \
        }                                                                                   \
    }

#endif
