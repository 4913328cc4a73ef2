#include "runtime.h"

uint32_t tms_random_state = 0x9e3779b9u;

TMS_WEAK TMS_NORETURN void tms_detected(uint32_t code) {
    volatile uint32_t reason = code;
    for (;;) (void)reason;
}

/* xorshift32 (G. Marsaglia, 2003): good enough to shuffle, no secret. Products bring a hardware generator. */
TMS_WEAK uint32_t tms_random32(void) {
    uint32_t x = tms_random_state ? tms_random_state : 1u;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    tms_random_state = x;
    return x;
}
