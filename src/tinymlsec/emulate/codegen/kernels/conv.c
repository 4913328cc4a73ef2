#include "conv.h"

#include "dot.h"

/* How an output channel runs over the taps of a pixel: rows of runs of codes that lie side by side in the image. */
typedef struct {
    int32_t rows, row_step, row_weights; /* steps in the image and in the weights */
    int32_t runs, run_step, run_weights; /* of a row */
    int32_t length;                      /* of a run */
    int32_t channel;                     /* weights of an output channel */
    int32_t offset;
} tms_runs;

static tms_runs tms_runs_of(const tms_conv *p, const tms_view *v) {
    tms_runs r = {.offset = p->offset};
    const int32_t weights = p->g.k_w * p->group_in; /* of a row of taps */
    r.channel = p->g.k_h * weights;
    if (p->group_in == p->g.in_c && p->g.dilation_w == 1) { /* no gaps in a row of taps: it is one run */
        r.rows = 1;
        r.runs = v->rows;
        r.run_step = v->row_step;
        r.run_weights = weights;
        r.length = v->columns * p->group_in;
    } else {
        r.rows = v->rows;
        r.row_step = v->row_step;
        r.row_weights = weights;
        r.runs = v->columns;
        r.run_step = v->column_step;
        r.run_weights = r.length = p->group_in;
    }
    return r;
}

/* Sum of one output channel; x and w are its first code and weight. */
static TMS_APART uint32_t tms_conv_sum(const tms_runs *r, const int8_t *x, const int8_t *w) {
    uint32_t sum = 0;
    TMS_ROLLED for (int32_t row = 0; row < r->rows; ++row) {
        const int8_t *codes = x + row * r->row_step, *weights = w + row * r->row_weights;
        TMS_ROLLED for (int32_t run = 0; run < r->runs; ++run) {
            sum = tms_dot(sum, codes, weights, r->length, r->offset);
            codes += r->run_step;
            weights += r->run_weights;
        }
    }
    return sum;
}

#ifdef TMS_TOGETHER
/* The same for TMS_TOGETHER channels. */
static TMS_APART tms_sums tms_conv_sums(const tms_runs *r, const int8_t *x, const int8_t *w) {
    tms_sums sums = {{0}};
    TMS_ROLLED for (int32_t row = 0; row < r->rows; ++row) {
        const int8_t *codes = x + row * r->row_step, *weights = w + row * r->row_weights;
        TMS_ROLLED for (int32_t run = 0; run < r->runs; ++run) {
            sums = tms_dots(sums, codes, weights, r->channel, r->length, r->offset);
            codes += r->run_step;
            weights += r->run_weights;
        }
    }
    return sums;
}
#endif

void tms_conv_pixel(const tms_conv *p, const int8_t *x, int8_t *y, int32_t row, int32_t column, int32_t c0,
                    int32_t c1) {
    const tms_geometry *g = &p->g;
    const tms_view view = tms_view_of(g, row, column);
    const tms_runs runs = tms_runs_of(p, &view);
    const int32_t grouped = p->group_in != g->in_c;
    const int8_t *codes = x + view.at, *weights = p->weights + view.tap * p->group_in;
    int8_t *out = y + (row * g->out_w + column) * g->out_c;

    int32_t c = c0;
#ifdef TMS_TOGETHER
    for (; !grouped && c + TMS_TOGETHER <= c1; c += TMS_TOGETHER) {
        const tms_sums sums = tms_conv_sums(&runs, codes, weights + c * runs.channel);
        for (int32_t k = 0; k < TMS_TOGETHER; ++k) out[c + k] = tms_output_code(&p->r, sums.sum[k], c + k);
    }
#endif
    for (; c < c1; ++c) {
        const int32_t first = grouped ? c / p->group_out * p->group_in : 0; /* channel of the input */
        const uint32_t sum = tms_conv_sum(&runs, codes + first, weights + c * runs.channel);
        out[c] = tms_output_code(&p->r, sum, c);
    }
}
