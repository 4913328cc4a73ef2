#include "depthwise.h"

#include "dot.h"

/* Sum of one output channel, which reads channel c / multiplier of the input. */
static TMS_APART uint32_t tms_depthwise_sum(const tms_depthwise *p, const tms_view *v, const int8_t *x, int32_t c) {
    const tms_geometry *g = &p->g;
    const int8_t *w = p->weights + v->tap * g->out_c + c;
    uint32_t sum = 0;
    x += v->at + (p->multiplier == 1 ? c : c / p->multiplier);
    for (int32_t row = 0; row < v->rows; ++row) {
        TMS_ROLLED for (int32_t k = 0; k < v->columns; ++k) {
            sum += (uint32_t)((x[k * v->column_step] + p->offset) * w[k * g->out_c]);
        }
        x += v->row_step;
        w += g->k_w * g->out_c;
    }
    return sum;
}

/* Sums of TMS_COLUMNS channels from channel c on, each of which reads the input's channel of its own number. */
static TMS_APART tms_column_sums tms_depthwise_sums(const tms_depthwise *p, const tms_view *v, const int8_t *x, int32_t c) {
    const tms_geometry *g = &p->g;
    const int8_t *w = p->weights + v->tap * g->out_c + c;
    tms_column_sums sums = {{0}};
    x += v->at + c;
    TMS_ROLLED for (int32_t row = 0; row < v->rows; ++row) {
        const int8_t *codes = x + row * v->row_step, *weights = w + row * g->k_w * g->out_c;
        TMS_UNTIE(codes);
        TMS_UNTIE(weights);
        TMS_ROLLED for (int32_t k = 0; k < v->columns; ++k) {
            sums = tms_columns(sums, codes, weights, p->offset);
            codes += v->column_step;
            weights += g->out_c;
        }
    }
    return sums;
}

void tms_depthwise_pixel(const tms_depthwise *p, const int8_t *x, int8_t *y, int32_t row, int32_t column, int32_t c0,
                         int32_t c1) {
    const tms_geometry *g = &p->g;
    const tms_view view = tms_view_of(g, row, column);
    int8_t *out = y + (row * g->out_w + column) * g->out_c;

    int32_t c = c0;
    for (; p->multiplier == 1 && c + TMS_COLUMNS <= c1; c += TMS_COLUMNS) {
        const tms_column_sums sums = tms_depthwise_sums(p, &view, x, c);
        for (int32_t k = 0; k < TMS_COLUMNS; ++k) out[c + k] = tms_output_code(&p->r, sums.sum[k], c + k);
    }
    for (; c < c1; ++c) out[c] = tms_output_code(&p->r, tms_depthwise_sum(p, &view, x, c), c);
}
