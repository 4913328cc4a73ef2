/* Sums over traces that the likelihood of guessed weights needs; the slow twin is `costs_by_hand` in the tests. */
#include <stdint.h>

enum { HW_SUM, HD_SUM, HW_PRODUCT, HW_WEIGHT, HW_HD_SUM };

static inline uint32_t bits(uint32_t word) { return (uint32_t)__builtin_popcount(word); }

static inline uint32_t seen(int kind, uint32_t before, uint32_t product, uint32_t weights) {
    switch (kind) {
    case HW_SUM: return bits(before + product);
    case HD_SUM: return bits((before + product) ^ before);
    case HW_PRODUCT: return bits(product);
    case HW_HD_SUM: return bits(before + product) + bits((before + product) ^ before);
    default: return bits(weights);
    }
}

/* For path p and guess g: total = sum of seen, square = sum of seen^2, cross = sum of seen * rest, over n traces.
 * sums (paths, stride), factors (n, 2), guesses (count, 2), starts and loaded (count), rest (n); the results
 * (paths, count). A step that adds one product has zeros for the second factor; `starts` lay in the register before. */
void tms_costs(int kind, const uint32_t *sums, uint64_t stride, uint64_t paths, const uint32_t *factors,
               const uint32_t *guesses, const uint32_t *starts, const uint32_t *loaded, uint64_t count,
               const float *rest, uint64_t n, double *total, double *square, double *cross) {
    for (uint64_t p = 0; p < paths; p++) {
        const uint32_t *before = sums + p * stride;
        for (uint64_t g = 0; g < count; g++) {
            const uint32_t first = guesses[2 * g], second = guesses[2 * g + 1], word = loaded[g], start = starts[g];
            uint64_t totals = 0, squares = 0;
            double crosses = 0;
            for (uint64_t from = 0; from < n; from += 256) { /* short sums in float lose nothing that matters */
                const uint64_t to = from + 256 < n ? from + 256 : n;
                uint32_t part = 0, sum = 0;
                float mixed = 0;
                for (uint64_t i = from; i < to; i++) {
                    const uint32_t product = first * factors[2 * i] + second * factors[2 * i + 1];
                    const uint32_t h = seen(kind, before[i] + start, product, word);
                    sum += h;
                    part += h * h;
                    mixed += (float)h * rest[i];
                }
                totals += sum;
                squares += part;
                crosses += (double)mixed;
            }
            total[p * count + g] = (double)totals;
            square[p * count + g] = (double)squares;
            cross[p * count + g] = crosses;
        }
    }
}
