/* The likeliest way of a program through the samples of one trace, by A. Viterbi's algorithm with a beam.

   What is alive after each sample is kept for a window of samples only. When the window is full the best way is traced
   back; what lies further back than `LAG` samples is written out and forgotten. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW (1u << 17)
#define LAG (1u << 14)

typedef struct {
    uint16_t state, back; /* an instruction, and its place in the list of the sample before */
} alive;

typedef struct {
    const uint8_t *samples;
    const float *emission; /* [value][state] nats */
    const int32_t *first, *next;
    const float *cost; /* nats of each way on */
    uint32_t states, most;
    float beam;
} problem;

typedef struct {
    alive *kept; /* all lists of the window, one behind the other */
    uint64_t room, used;
    uint64_t *begin; /* of each list of the window; one more at the end */
    uint32_t held;   /* lists */
} history;

/* Writes the best way through the first `count` samples of the window. */
static void written(const history *h, uint32_t best, uint32_t count, uint16_t *out) {
    for (uint32_t step = h->held; step-- > 0;) {
        const alive *one = &h->kept[h->begin[step] + best];
        if (step < count) out[step] = one->state;
        best = one->back;
    }
}

/* Keeps the newest lists only. */
static void forgotten(history *h, uint32_t count) {
    const uint64_t gone = h->begin[count];
    memmove(h->kept, h->kept + gone, (h->used - gone) * sizeof *h->kept);
    for (uint32_t step = count; step <= h->held; ++step) h->begin[step - count] = h->begin[step] - gone;
    h->held -= count;
    h->used -= gone;
}

typedef struct {
    uint16_t *state;
    float *score;
    uint16_t *back;
    uint32_t count;
} front;

/* All ways on from the living, the better one where two meet; then what the sample says of them. Returns the best. */
static float moved(const problem *p, const front *from, front *to, uint32_t *slot, uint32_t *stamp, uint32_t now,
                   const float *emission) {
    float best = -1e30f;
    to->count = 0;
    for (uint32_t k = 0; k < from->count; ++k) {
        const uint32_t state = from->state[k];
        for (int32_t edge = p->first[state]; edge < p->first[state + 1]; ++edge) {
            const uint32_t target = (uint32_t)p->next[edge];
            const float score = from->score[k] + p->cost[edge] + emission[target];
            uint32_t at = slot[target];
            if (stamp[target] != now) {
                stamp[target] = now;
                at = slot[target] = to->count++;
                to->state[at] = (uint16_t)target;
            } else if (score <= to->score[at]) {
                continue;
            }
            to->score[at] = score;
            to->back[at] = (uint16_t)k;
            if (score > best) best = score;
        }
    }
    return best;
}

/* Drops what lies behind the best by more than the beam, and counts from the best on. Returns the best one's place. */
static uint32_t pruned(front *f, float best, float beam, uint32_t most) {
    uint32_t kept = 0, place = 0;
    for (; beam > 0.0f; beam *= 0.5f) {
        uint32_t over = 0;
        for (uint32_t k = 0; k < f->count; ++k) over += f->score[k] >= best - beam;
        if (over <= most) break;
    }
    for (uint32_t k = 0; k < f->count; ++k) {
        if (f->score[k] < best - beam || kept == most) continue;
        if (f->score[k] == best) place = kept;
        f->state[kept] = f->state[k];
        f->back[kept] = f->back[k];
        f->score[kept++] = f->score[k] - best;
    }
    f->count = kept;
    return place;
}

/* Returns 0; 1: no memory; 2: a state leads nowhere. */
int32_t tms_path(const uint8_t *samples, uint64_t count, uint32_t states, const float *emission, const int32_t *first,
                 const int32_t *next, const float *cost, uint32_t start, uint32_t most, float beam, uint16_t *out) {
    const problem p = {samples, emission, first, next, cost, states, most, beam};
    history h = {0};
    front fronts[2] = {{0}};
    uint32_t *slot = calloc(states, sizeof *slot), *stamp = calloc(states, sizeof *stamp);
    int32_t result = 1;
    uint32_t best_place = 0;
    uint64_t done = 0;

    h.room = (uint64_t)WINDOW * 64 + states;
    h.kept = malloc(h.room * sizeof *h.kept);
    h.begin = malloc((WINDOW + 2) * sizeof *h.begin);
    for (int k = 0; k < 2; ++k) {
        fronts[k].state = malloc(states * sizeof(uint16_t));
        fronts[k].score = malloc(states * sizeof(float));
        fronts[k].back = malloc(states * sizeof(uint16_t));
        if (!fronts[k].state || !fronts[k].score || !fronts[k].back) goto end;
    }
    if (!slot || !stamp || !h.kept || !h.begin) goto end;

    front *from = &fronts[0], *to = &fronts[1];
    from->count = 1;
    from->state[0] = (uint16_t)start;
    from->score[0] = 0.0f;
    h.begin[0] = 0;
    for (uint64_t at = 0; at < count; ++at) {
        const uint32_t now = (uint32_t)(at % 0xfffffffeu) + 1u;
        const float *row = emission + (uint64_t)samples[at] * states;
        const float best = moved(&p, from, to, slot, stamp, now, row);
        if (!to->count) {
            result = 2;
            goto end;
        }
        best_place = pruned(to, best, beam, most);
        for (uint32_t k = 0; k < to->count; ++k)
            h.kept[h.used + k] = (alive){to->state[k], at ? to->back[k] : 0};
        h.used += to->count;
        h.begin[++h.held] = h.used;
        if (h.held == WINDOW || (h.used + states > h.room && h.held > LAG)) {
            written(&h, best_place, h.held - LAG, out + done);
            done += h.held - LAG;
            forgotten(&h, h.held - LAG);
        }
        if (h.used + states > h.room) goto end;
        front *swap = from;
        from = to;
        to = swap;
    }
    written(&h, best_place, h.held, out + done);
    result = 0;
end:
    for (int k = 0; k < 2; ++k) {
        free(fronts[k].state);
        free(fronts[k].score);
        free(fronts[k].back);
    }
    free(slot);
    free(stamp);
    free(h.kept);
    free(h.begin);
    return result;
}
