/* Entry and trap handler for 32-bit RISC-V. Every trap ends in an endless loop. */
#include <stdint.h>

void tms_boot(void);

__asm__(
    ".section .text._start,\"ax\",%progbits\n"
    ".option push\n"
    ".option norelax\n"
    ".option arch, +zicsr\n"
    ".global _start\n"
    ".type _start,%function\n"
    "_start:\n"
    "    la sp, tms_stack_top\n"
    "    la t0, tms_trap\n"
    "    csrw mtvec, t0\n"
    "    call tms_boot\n"
    "1:  j 1b\n"
    ".size _start, . - _start\n"
    ".option pop\n"
    ".text\n");

/* The two low bits of its address select how traps are taken: they must be 0. */
__attribute__((used, noreturn, aligned(4))) void tms_trap(void);
void tms_trap(void) {
    for (;;) __asm__ volatile("");
}
