// Firmware for a RISC-V core: its own start-up in assembly, a timer interrupt, semihosting, and a tiny network.
#include <stdint.h>

extern "C" {
volatile uint32_t ticks;
alignas(4) int8_t frame[8];
int16_t scores[4];
int8_t bias[4] = {1, -2, 3, -4};

__attribute__((naked, noreturn, section(".start"), used)) void _start() {
  asm volatile(
      ".option push\n .option norelax\n la gp, __global_pointer$\n .option pop\n la sp, stack_top\n"
      "la a0, bss_start\n la a1, bss_end\n 1: bgeu a0, a1, 2f\n sw zero, 0(a0)\n addi a0, a0, 4\n j 1b\n 2: call application\n");
}

// Returns by mret, as handlers do.
__attribute__((interrupt("machine"), used)) void timer_interrupt() { ticks = ticks + 1; }

__attribute__((noinline, used)) void pause(uint32_t count) {
  const uint32_t start = ticks;
  while (ticks - start < count) {
  }
}

__attribute__((noinline, used)) int infer(const int8_t *input, int16_t *output) {
  for (int o = 0; o < 4; ++o) {
    int sum = bias[o];
    for (int i = 0; i < 8; ++i) sum += input[i] * (i - o);
    output[o] = static_cast<int16_t>(sum);
  }
  return 1;
}
__attribute__((noinline, used)) int classify() {
  pause(1);
  return infer(frame, scores);
}

__attribute__((naked, noinline, used)) int ask(int operation, const void *argument) {
  asm volatile(".option push\n .option norvc\n slli zero, zero, 0x1f\n ebreak\n srai zero, zero, 7\n .option pop\n ret\n");
}
__attribute__((noinline, used)) int greets() {
  ask(4, "hello\n");
  return classify();
}
__attribute__((noinline, used)) void writes_flash() { *reinterpret_cast<volatile uint32_t *>(0x20000000) = 1; }
__attribute__((noinline, used)) void is_undefined() { asm volatile(".word 0"); }
__attribute__((noinline, used)) void calls_environment() { asm volatile("ecall"); }
__attribute__((noinline, used)) int waits() {
  asm volatile("wfi");
  return classify();
}
__attribute__((noinline, used)) void main_loop() {
  for (;;) classify();
}
__attribute__((noreturn, used)) void application() {
  pause(2);
  main_loop();
  for (;;) {
  }
}
}
