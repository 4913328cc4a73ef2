/* A walk over the elements of two arrays at once, each with its own step along every axis. */
#ifndef TMS_WALK_H
#define TMS_WALK_H

#include <stdint.h>

#define TMS_AXES 6
#define TMS_OUTER 4 /* axes ahead of the two that kernels loop over themselves */

typedef struct {
    int32_t size[TMS_AXES];   /* outermost first; 1 where an axis is not used */
    int32_t first[TMS_AXES];  /* steps in the first array, 0 where it is broadcast, negative where read backwards */
    int32_t second[TMS_AXES]; /* steps in the second array */
} tms_walk;

/* How often the two inner loops run. */
static inline int32_t tms_walk_rows(const tms_walk *walk) {
    int32_t rows = 1;
    for (int32_t axis = 0; axis < TMS_OUTER; ++axis) rows *= walk->size[axis];
    return rows;
}

/* Elements of the whole walk. */
static inline int32_t tms_walk_elements(const tms_walk *walk) {
    return tms_walk_rows(walk) * walk->size[TMS_OUTER] * walk->size[TMS_OUTER + 1];
}

/* Where number `index` over the first `axes` axes lies in an array with these steps. */
static inline int32_t tms_walk_offset(const tms_walk *walk, const int32_t *step, int32_t axes, int32_t index) {
    int32_t offset = 0;
    for (int32_t axis = axes - 1; axis >= 0; --axis) {
        const int32_t size = walk->size[axis];
        if (size == 1) continue; /* most are, and a division is dear on cores that have none */
        offset += (index % size) * step[axis];
        index /= size;
    }
    return offset;
}

#endif
