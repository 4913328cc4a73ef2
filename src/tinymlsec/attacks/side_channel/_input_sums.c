/* Likelihood of guessed input values from sums, in whole numbers: unlike sums of floats, compilers vectorize these. */
#include <stdint.h>

enum { WEIGHT, DISTANCE, BOTH };

static inline int32_t bits(uint32_t word) { return __builtin_popcount(word); }

static inline int32_t seen(int kind, uint32_t before, uint32_t after) {
    switch (kind) {
    case WEIGHT: return bits(after);
    case DISTANCE: return bits(after ^ before);
    default: return bits(after) + bits(after ^ before);
    }
}

/* Sum over n rows of 64 * seen^2 - 2 * seen * rest, where rest is in units of 1/64. Below 2^15 each: 256 fit 32 bits. */
#define PASS(KIND)                                                                              \
    for (uint64_t p = 0; p < paths; p++) {                                                      \
        for (uint64_t g = 0; g < count; g++) {                                                  \
            const uint32_t *from = before + p * n;                                              \
            const uint32_t guess = guesses[g];                                                  \
            int64_t sum = 0;                                                                    \
            for (uint64_t start = 0; start < n; start += 256) {                                 \
                const uint64_t end = start + 256 < n ? start + 256 : n;                         \
                int32_t part = 0;                                                               \
                for (uint64_t i = start; i < end; i++) {                                        \
                    const int32_t h = seen(KIND, from[i], from[i] + guess * factors[i]);        \
                    part += h * (64 * h - 2 * rest[i]);                                         \
                }                                                                               \
                sum += part;                                                                    \
            }                                                                                   \
            costs[p * count + g] = (double)sum / 64;                                            \
        }                                                                                       \
    }

/* before (paths, n): sums that a guess times its factor is added to; factors, rest (n); guesses (count);
 * costs (paths, count). */
void tms_input_costs(int kind, const uint32_t *before, uint64_t paths, const uint32_t *factors, const int32_t *rest,
                     uint64_t n, const uint32_t *guesses, uint64_t count, double *costs) {
    switch (kind) {
    case WEIGHT: PASS(WEIGHT) break;
    case DISTANCE: PASS(DISTANCE) break;
    default: PASS(BOTH) break;
    }
}
