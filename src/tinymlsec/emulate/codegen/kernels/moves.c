#include "moves.h"

#include "memory.h"

#define SHORT_RUN 8 /* bytes up to which a loop is quicker than a call */

static inline void copy_run(uint8_t *to, const uint8_t *from, int32_t bytes) {
    if (bytes > SHORT_RUN) {
        tms_move_bytes(to, from, (uint32_t)bytes);
    } else {
        for (int32_t k = 0; k < bytes; ++k) to[k] = from[k];
    }
}

void tms_copy(void *to, const void *from, int32_t bytes) { tms_move_bytes(to, from, (uint32_t)bytes); }

void tms_move(void *to, const void *from, const tms_walk *walk) {
    const int32_t rows = tms_walk_rows(walk), runs = walk->size[TMS_OUTER], bytes = walk->size[TMS_OUTER + 1];
    const int32_t in_step = walk->first[TMS_OUTER], out_step = walk->second[TMS_OUTER];
    for (int32_t row = 0; row < rows; ++row) {
        const uint8_t *in = (const uint8_t *)from + tms_walk_offset(walk, walk->first, TMS_OUTER, row);
        uint8_t *out = (uint8_t *)to + tms_walk_offset(walk, walk->second, TMS_OUTER, row);
        for (int32_t run = 0; run < runs; ++run) copy_run(out + run * out_step, in + run * in_step, bytes);
    }
}

void tms_fill_int8(int8_t *to, int8_t value, int32_t count) {
    for (int32_t k = 0; k < count; ++k) to[k] = value;
}

void tms_fill_float(float *to, float value, int32_t count) {
    for (int32_t k = 0; k < count; ++k) to[k] = value;
}
