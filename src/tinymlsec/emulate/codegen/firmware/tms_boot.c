/* From reset to a model that is ready: memory is set up, the model is initialized, then nothing happens any more until
   somebody calls tms_infer. */
#include <stdint.h>

#include "tms_model.h"

extern uint8_t tms_data_start[], tms_data_end[], tms_bss_start[], tms_bss_end[];
extern const uint8_t tms_data_load[];

void tms_idle(void);
void tms_boot(void);

/* Where the processor stays. */
__attribute__((noinline, used)) void tms_idle(void) {
    for (;;) __asm__ volatile("");
}

/* Called by the reset handler once there is a stack. */
__attribute__((noreturn, used)) void tms_boot(void) {
    const uint8_t *from = tms_data_load;
    for (uint8_t *to = tms_data_start; to < tms_data_end;) *to++ = *from++;
    for (uint32_t *to = (uint32_t *)tms_bss_start; to < (uint32_t *)tms_bss_end;) *to++ = 0;
    tms_init();
    tms_idle();
    for (;;) {
    }
}
