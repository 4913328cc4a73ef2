#include "pool.h"

#include <float.h>

#include "fixed.h"
#include "real.h"

/* The part of a window that lies in the image: rows top to bottom - 1, columns left to right - 1. */
typedef struct {
    int32_t top;
    int32_t bottom;
    int32_t left;
    int32_t right;
} window;

static inline window window_at(const tms_pool *pool, int32_t y, int32_t x) {
    const int32_t top = y * pool->stride_height - pool->top, left = x * pool->stride_width - pool->left;
    const int32_t bottom = top + pool->window_height, right = left + pool->window_width;
    return (window){
        .top = top < 0 ? 0 : top,
        .bottom = bottom > pool->height ? pool->height : bottom,
        .left = left < 0 ? 0 : left,
        .right = right > pool->width ? pool->width : right,
    };
}

/* For every output: `from` points at its channel in the image's first pixel, `at` is its window. */
#define TMS_FOR_WINDOWS(TYPE, RESULT)                                                             \
    const int32_t image = pool->height * pool->width * pool->channels;                            \
    for (int32_t batch = 0; batch < pool->batches; ++batch)                                       \
        for (int32_t y = 0; y < pool->out_height; ++y)                                            \
            for (int32_t x = 0; x < pool->out_width; ++x) {                                       \
                const window at = window_at(pool, y, x);                                          \
                for (int32_t channel = 0; channel < pool->channels; ++channel) {                  \
                    const TYPE *from = in + batch * image + channel;                              \
                    *out++ = (RESULT);                                                            \
                }                                                                                 \
            }

/* Statements for every pixel of a window. */
#define TMS_FOR_PIXELS(STATEMENT)                                                                 \
    for (int32_t row = at.top; row < at.bottom; ++row)                                            \
        for (int32_t column = at.left; column < at.right; ++column) {                             \
            const int32_t pixel = (row * pool->width + column) * pool->channels;                  \
            STATEMENT                                                                             \
        }

static inline int32_t count_of(window at) { return (at.bottom - at.top) * (at.right - at.left); }

/* The mean of codes as they are, to nearest, ties away from zero. */
static int32_t average_int8(const int8_t *from, const tms_pool *pool, window at) {
    const int32_t count = count_of(at);
    int32_t sum = 0;
    TMS_FOR_PIXELS(sum += from[pixel];)
    return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

static int32_t max_int8(const int8_t *from, const tms_pool *pool, window at) {
    int32_t largest = INT8_MIN;
    TMS_FOR_PIXELS(largest = from[pixel] > largest ? from[pixel] : largest;)
    return largest;
}

static float average_float(const float *from, const tms_pool *pool, window at) {
    float sum = 0.0f;
    TMS_FOR_PIXELS(sum += from[pixel];)
    return sum / (float)count_of(at);
}

static float max_float(const float *from, const tms_pool *pool, window at) {
    float largest = -FLT_MAX;
    TMS_FOR_PIXELS(largest = from[pixel] > largest ? from[pixel] : largest;)
    return largest;
}

void tms_average_pool_int8(int8_t *out, const int8_t *in, const tms_pool *pool, int32_t low, int32_t high) {
    TMS_FOR_WINDOWS(int8_t, (int8_t)tms_clamp(average_int8(from, pool, at), low, high))
}

void tms_max_pool_int8(int8_t *out, const int8_t *in, const tms_pool *pool, int32_t low, int32_t high) {
    TMS_FOR_WINDOWS(int8_t, (int8_t)tms_clamp(max_int8(from, pool, at), low, high))
}

void tms_average_pool_float(float *out, const float *in, const tms_pool *pool, float low, float high) {
    TMS_FOR_WINDOWS(float, tms_clampf(average_float(from, pool, at), low, high))
}

void tms_max_pool_float(float *out, const float *in, const tms_pool *pool, float low, float high) {
    TMS_FOR_WINDOWS(float, tms_clampf(max_float(from, pool, at), low, high))
}
