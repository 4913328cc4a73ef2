/* Values that change their place and not their bits. */
#ifndef TMS_MOVES_H
#define TMS_MOVES_H

#include "walk.h"

/* Copies `bytes` bytes; the two must not overlap. */
void tms_copy(void *to, const void *from, int32_t bytes);

/* Copies runs of bytes from place to place. Steps of the walk are bytes: the first array is `from`, the second `to`;
   its last axis is the run, with steps of 1. */
void tms_move(void *to, const void *from, const tms_walk *walk);

void tms_fill_int8(int8_t *to, int8_t value, int32_t count);
void tms_fill_float(float *to, float value, int32_t count);

#endif
