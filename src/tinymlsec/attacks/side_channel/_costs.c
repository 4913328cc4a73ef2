/* Sums over traces that the likelihood of guessed weights needs; the slow twin is `costs_by_hand` in the tests. */
#include <stdint.h>

enum { HW_SUM, HD_SUM, HW_PRODUCT, HW_WEIGHT };

static inline uint32_t bits(uint32_t word) { return (uint32_t)__builtin_popcount(word); }

static inline uint32_t seen(int kind, uint32_t before, uint32_t product, uint32_t weights) {
    switch (kind) {
    case HW_SUM: return bits(before + product);
    case HD_SUM: return bits((before + product) ^ before);
    case HW_PRODUCT: return bits(product);
    default: return bits(weights);
    }
}

/* For path p and guess g: square = sum of seen^2, cross = sum of seen * rest, over n traces.
 * sums (paths, stride), factors (n, 2), guesses (count, 2), loaded (count), rest (n); square and cross (paths, count).
 * A step that adds one product has zeros for the second factor. */
void tms_costs(int kind, const uint32_t *sums, uint64_t stride, uint64_t paths, const uint32_t *factors,
               const uint32_t *guesses, const uint32_t *loaded, uint64_t count, const float *rest, uint64_t n,
               double *square, double *cross) {
    for (uint64_t p = 0; p < paths; p++) {
        const uint32_t *before = sums + p * stride;
        for (uint64_t g = 0; g < count; g++) {
            const uint32_t first = guesses[2 * g], second = guesses[2 * g + 1], word = loaded[g];
            uint64_t squares = 0;
            double crosses = 0;
            for (uint64_t from = 0; from < n; from += 256) { /* short sums in float lose nothing that matters */
                const uint64_t to = from + 256 < n ? from + 256 : n;
                uint32_t part = 0;
                float mixed = 0;
                for (uint64_t i = from; i < to; i++) {
                    const uint32_t product = first * factors[2 * i] + second * factors[2 * i + 1];
                    const uint32_t h = seen(kind, before[i], product, word);
                    part += h * h;
                    mixed += (float)h * rest[i];
                }
                squares += part;
                crosses += (double)mixed;
            }
            square[p * count + g] = (double)squares;
            cross[p * count + g] = crosses;
        }
    }
}
