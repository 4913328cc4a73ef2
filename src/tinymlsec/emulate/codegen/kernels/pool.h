/* AVERAGE_POOL_2D and MAX_POOL_2D. What lies outside of the image counts for neither. */
#ifndef TMS_POOL_H
#define TMS_POOL_H

#include <stdint.h>

typedef struct {
    int32_t batches;
    int32_t height;
    int32_t width;
    int32_t channels;
    int32_t out_height;
    int32_t out_width;
    int32_t window_height;
    int32_t window_width;
    int32_t stride_height;
    int32_t stride_width;
    int32_t top; /* padding */
    int32_t left;
} tms_pool;

void tms_average_pool_int8(int8_t *out, const int8_t *in, const tms_pool *pool, int32_t low, int32_t high);
void tms_max_pool_int8(int8_t *out, const int8_t *in, const tms_pool *pool, int32_t low, int32_t high);
void tms_average_pool_float(float *out, const float *in, const tms_pool *pool, float low, float high);
void tms_max_pool_float(float *out, const float *in, const tms_pool *pool, float low, float high);

#endif
