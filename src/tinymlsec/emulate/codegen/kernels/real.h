/* exp and tanh in single precision, without a C library. */
#ifndef TMS_REAL_H
#define TMS_REAL_H

/* exp(x) within two units of the last place; 0 below -87, infinite above 88.7. */
float tms_expf(float x);

float tms_tanhf(float x);

static inline float tms_clampf(float value, float low, float high) {
    return value < low ? low : value > high ? high : value;
}

#endif
