/* Vector table and handlers for Arm's M-profile. Every fault ends in an endless loop of its own name. */
#include <stdint.h>

extern uint8_t tms_stack_top[];
void tms_boot(void);
void Reset_Handler(void);

/* The stack pointer is set here as well: some loaders enter at the entry point and skip the vector table. */
__asm__(
    ".syntax unified\n"
    ".thumb\n"
    ".section .text.Reset_Handler,\"ax\",%progbits\n"
    ".global Reset_Handler\n"
    ".type Reset_Handler,%function\n"
    ".thumb_func\n"
    "Reset_Handler:\n"
    "    ldr r0, =tms_stack_top\n"
    "    mov sp, r0\n"
#if defined(__ARM_FP)
    "    ldr r0, =0xe000ed88\n" /* CPACR: full access to the floating-point unit */
    "    ldr r1, [r0]\n"
    "    ldr r2, =0x00f00000\n"
    "    orrs r1, r2\n"
    "    str r1, [r0]\n"
    "    dsb\n"
    "    isb\n"
#endif
    "    bl tms_boot\n"
    "    b .\n"
    ".pool\n"
    ".size Reset_Handler, . - Reset_Handler\n"
    ".text\n");

#define TMS_HANDLER(name)                            \
    __attribute__((used, noreturn)) void name(void); \
    void name(void) {                                \
        for (;;) __asm__ volatile("");               \
    }

TMS_HANDLER(NMI_Handler)
TMS_HANDLER(HardFault_Handler)
TMS_HANDLER(MemManage_Handler)
TMS_HANDLER(BusFault_Handler)
TMS_HANDLER(UsageFault_Handler)
TMS_HANDLER(Default_Handler)

typedef void (*tms_vector)(void);

__attribute__((section(".vectors"), used)) const tms_vector tms_vectors[16] = {
    (tms_vector)(uintptr_t)tms_stack_top,
    Reset_Handler,
    NMI_Handler,
    HardFault_Handler,
    MemManage_Handler,
    BusFault_Handler,
    UsageFault_Handler,
    Default_Handler, /* SecureFault where there is one */
    0,
    0,
    0,
    Default_Handler, /* SVCall */
    Default_Handler, /* debug monitor */
    0,
    Default_Handler, /* PendSV */
    Default_Handler, /* SysTick */
};
