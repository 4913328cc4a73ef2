/* Sums over traces that the likelihood of guessed weights needs; the slow twin is `costs_by_hand` in the tests. */
#include <stdint.h>

enum { HW_SUM, HD_SUM, HW_PRODUCT, HW_WEIGHT, HW_HD_SUM };
enum { LANES = 16, BLOCK = 256 };

/* Sums of one guess after one path. */
typedef struct {
    uint64_t total, square;
    double cross;
} Made;

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

/* A lane adds up every sixteenth trace, so that the compiler may compute all lanes at once and every processor adds in
 * the same order. Short sums in float lose nothing that matters. */
static inline __attribute__((always_inline)) Made guessed(
    int kind, const uint32_t *before, const uint32_t *one, const uint32_t *two, const float *rest, uint64_t n,
    uint32_t first, uint32_t second, uint32_t start, uint32_t word) {
    Made made = {0, 0, 0};
    for (uint64_t from = 0; from < n; from += BLOCK) {
        const uint64_t to = from + BLOCK < n ? from + BLOCK : n;
        uint32_t sums[LANES] = {0}, squares[LANES] = {0};
        float crosses[LANES] = {0};
        uint64_t i = from;
        for (; i + LANES <= to; i += LANES) {
            for (int lane = 0; lane < LANES; lane++) {
                const uint32_t product = first * one[i + lane] + second * two[i + lane];
                const uint32_t h = seen(kind, before[i + lane] + start, product, word);
                sums[lane] += h;
                squares[lane] += h * h;
                crosses[lane] += (float)(int32_t)h * rest[i + lane];
            }
        }
        for (int lane = 0; i < to; i++, lane++) {
            const uint32_t h = seen(kind, before[i] + start, first * one[i] + second * two[i], word);
            sums[lane] += h;
            squares[lane] += h * h;
            crosses[lane] += (float)(int32_t)h * rest[i];
        }
        for (int lane = 0; lane < LANES; lane++) {
            made.total += sums[lane];
            made.square += squares[lane];
            made.cross += (double)crosses[lane];
        }
    }
    return made;
}

#define EVERY(kind)                                                                                                    \
    for (uint64_t p = 0; p < paths; p++)                                                                               \
        for (uint64_t g = 0; g < count; g++) {                                                                         \
            const Made made = guessed(kind, sums + p * n, factors, factors + n, rest, n, guesses[2 * g],               \
                                      guesses[2 * g + 1], starts[g], loaded[g]);                                       \
            total[p * count + g] = (double)made.total;                                                                 \
            square[p * count + g] = (double)made.square;                                                               \
            cross[p * count + g] = made.cross;                                                                         \
        }                                                                                                              \
    break;

/* For path p and guess g: total = sum of seen, square = sum of seen^2, cross = sum of seen * rest, over n traces.
 * sums (paths, n), factors (2, n), guesses (count, 2), starts and loaded (count), rest (n); the results (paths, count).
 * A step that adds one product has zeros for the second factor; `starts` lay in the register before. */
void tms_costs(int kind, const uint32_t *sums, uint64_t paths, const uint32_t *factors, const uint32_t *guesses,
               const uint32_t *starts, const uint32_t *loaded, uint64_t count, const float *rest, uint64_t n,
               double *total, double *square, double *cross) {
    switch (kind) {
    case HW_SUM: EVERY(HW_SUM)
    case HD_SUM: EVERY(HD_SUM)
    case HW_PRODUCT: EVERY(HW_PRODUCT)
    case HW_HD_SUM: EVERY(HW_HD_SUM)
    default: EVERY(HW_WEIGHT)
    }
}
