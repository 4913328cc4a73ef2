/* Functions that go wrong, and some that do not. */
#include <stdint.h>
#define KEPT __attribute__((noinline, used, section(".text.kept")))

extern uint32_t zoo_data[];
volatile uint32_t wrong_zero;

KEPT uint32_t add(uint32_t a, uint32_t b) { return a + b; }

KEPT uint32_t counted(uint32_t n) {
    uint32_t sum = 0;
    for (uint32_t i = 1; i <= n; i++) {
        sum += i;
        __asm__ volatile("" : "+r"(sum));
    }
    return sum;
}

KEPT uint32_t twice(uint32_t n) { return counted(n) + counted(n + 1); }

KEPT void copy(void) {
    for (uint32_t i = 0; i < 8; i++) ((volatile uint32_t *)zoo_data)[8 + i] = zoo_data[i];
}

KEPT void forever(void) { for (;;) __asm__ volatile(""); }

KEPT void into_the_void(void) { ((void (*)(void))(uintptr_t)0x40000001u)(); }

KEPT void write_flash(void) { *(volatile uint32_t *)0x08000100u = 1; }

KEPT uint32_t read_void(void) { return *(volatile uint32_t *)0x60000000u; }

KEPT void run_data(void) { ((void (*)(void))(uintptr_t)0xe0000001u)(); }

KEPT uint32_t undefined(void) {
#if defined(__arm__)
    __asm__ volatile(".inst.n 0xde00");
#else
    __asm__ volatile(".half 0");
#endif
    return 1;
}

KEPT uint32_t unaligned(void) {
    const volatile uint32_t *at = (const volatile uint32_t *)((uintptr_t)zoo_data + 1);
    return *at;
}

KEPT uint32_t unaligned_pair(void) {
#if defined(__arm__) && __ARM_ARCH > 6
    uint32_t low, high, at = (uint32_t)(uintptr_t)zoo_data + 2;
    __asm__ volatile("ldrd %0, %1, [%2]" : "=r"(low), "=r"(high) : "r"(at));
    return low + high;
#else
    return unaligned();
#endif
}

KEPT uint32_t divide(uint32_t a) {
#if defined(__arm__) && __ARM_ARCH > 6
    uint32_t q;
    __asm__ volatile("udiv %0, %1, %2" : "=r"(q) : "r"(a), "r"(wrong_zero));
    return q;
#else
    return a;
#endif
}

KEPT uint32_t divide_trapped(uint32_t a) {
    *(volatile uint32_t *)0xe000ed14u |= 16;
    return divide(a);
}

KEPT uint32_t deep(uint32_t n) {
    volatile uint32_t here[64];
    here[n % 64] = n;
    return deep(n + 1) + here[(n + 1) % 64];
}

KEPT void call_supervisor(void) {
#if defined(__arm__)
    __asm__ volatile("svc #3");
#else
    __asm__ volatile("ecall");
#endif
}

KEPT void wait_for_nothing(void) { for (;;) __asm__ volatile("wfi"); }

KEPT void tms_detected(uint32_t code) {
    wrong_zero = code;
    for (;;) __asm__ volatile("");
}

KEPT void notice(uint32_t code) { tms_detected(code); }

#if defined(__arm__)
/* A region of 256 bytes at the start of the data becomes read-only, everything else stays allowed. */
KEPT uint32_t protect_and_write(uint32_t at) {
    volatile uint32_t *mpu = (volatile uint32_t *)0xe000ed94u;
#if __ARM_ARCH == 8
    mpu[1] = 0;
    mpu[2] = ((uint32_t)(uintptr_t)zoo_data & ~31u) | 4u;
    mpu[3] = (((uint32_t)(uintptr_t)zoo_data + 255u) & ~31u) | 1u;
#else
    mpu[1] = 2;
    mpu[2] = (uint32_t)(uintptr_t)zoo_data & ~255u;
    mpu[3] = (6u << 24) | (7u << 1) | 1u;
#endif
    mpu[0] = 5;
    *(volatile uint32_t *)(uintptr_t)at = 7;
    mpu[0] = 0;
    return *(volatile uint32_t *)(uintptr_t)at;
}
#endif

#if defined(__arm__) && __ARM_ARCH > 6
__attribute__((naked)) KEPT uint32_t conditional(uint32_t which, uint32_t value) {
    __asm__ volatile("cmp r0, #0\n ite eq\n addeq r1, #1\n addne r1, #2\n mov r0, r1\n bx lr");
}
#endif
