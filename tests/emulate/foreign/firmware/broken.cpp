// What can go wrong in firmware, one function each, to be called from outside.
#include "board.h"

extern "C" {

volatile uint32_t sink;
alignas(8) uint8_t frame[64];
uint8_t scores[4];
uint8_t *volatile chosen = frame;
uint8_t *volatile nowhere;

__attribute__((noinline, used)) int works() {
  for (int i = 0; i < 4; ++i) scores[i] = static_cast<uint8_t>(frame[i] + 1);
  return 7;
}
__attribute__((noinline, used)) int adds(const uint8_t *input, uint8_t *output, uint32_t in, uint32_t out) {
  for (uint32_t i = 0; i < out; ++i) output[i] = static_cast<uint8_t>(input[i] + input[in - 1 - i]);
  return static_cast<int>(in);
}
__attribute__((noinline, used)) void writes_flash() { *reinterpret_cast<volatile uint32_t *>(0x08000100) = 1; }
__attribute__((noinline, used)) void never_returns() {
  for (;;) sink = sink + 1;
}
__attribute__((noinline, used)) void jumps_away() { reinterpret_cast<void (*)()>(0x60000001)(); }
__attribute__((noinline, used)) void jumps_into_data() { reinterpret_cast<void (*)()>(frame + 1)(); }
__attribute__((noinline, used)) void jumps_to_arm() { reinterpret_cast<void (*)()>(reinterpret_cast<uintptr_t>(works) & ~1u)(); }
__attribute__((noinline, used)) uint32_t reads_nothing() { return *reinterpret_cast<volatile uint32_t *>(0x70000000); }
__attribute__((noinline, used)) uint32_t reads_null() { return *reinterpret_cast<volatile uint32_t *>(0x10); }
__attribute__((noinline, used)) uint32_t reads_unaligned() {
  uint32_t value;
  asm volatile("ldr %0, [%1]" : "=l"(value) : "l"(frame + 1));
  return value;
}
__attribute__((noinline, used)) void is_undefined() { asm volatile(".inst.n 0xde00"); }
__attribute__((noinline, used)) void calls_supervisor() { asm volatile("svc 0"); }
__attribute__((noinline, used)) void breaks() { asm volatile("bkpt 1"); }
__attribute__((noinline, used)) uint32_t overflows(uint32_t depth) {
  volatile uint32_t room[256];
  room[depth % 256] = depth;
  return sink == 0xFFFFFFFF ? depth : overflows(depth + 1) + room[depth % 256];
}
__attribute__((noinline, used)) void prints_forever() {
  for (;;) board::console.print("all work and no play\n");
}
__attribute__((noinline, used)) void waits_for_hardware() {
  while (*reinterpret_cast<volatile uint32_t *>(0x40005000) != 0x12345678) {
  }
}
__attribute__((noinline, used)) void waits_for_tick() { board::pause(3); }
__attribute__((noinline, used)) int waits_for_events() {
  asm volatile("wfi\n wfe\n sev\n yield\n nop");
  return works();
}
__attribute__((noinline, used)) int counts_ticks_with_interrupts_off() {
  const uint32_t before = board::ticks;
  asm volatile("cpsid i" ::: "memory");
  for (uint32_t i = 0; i < 20000; ++i) sink = i;
  const uint32_t during = board::ticks - before;
  asm volatile("cpsie i" ::: "memory");
  for (uint32_t i = 0; i < 20000; ++i) sink = i;
  return static_cast<int>(during == 0 && board::ticks != before ? 1 : 2);
}
__attribute__((noinline, used)) void ends_itself() {
  register uint32_t operation asm("r0") = 0x18;
  register uint32_t reason asm("r1") = 0x20026;
  asm volatile("bkpt 0xAB" : "+r"(operation) : "r"(reason) : "memory");
}
__attribute__((noinline, used)) void says(const char *text) {
  register uint32_t operation asm("r0") = 4;
  register const char *argument asm("r1") = text;
  asm volatile("bkpt 0xAB" : "+r"(operation) : "r"(argument) : "memory");
}
__attribute__((noinline, used)) int greets() {
  says("hello\n");
  return works();
}
#if __ARM_ARCH > 6
// Half of the additions happen; interrupts come in the middle of it.
__attribute__((noinline, used)) int counts_conditionally() {
  int sum = 0;
  for (int i = 0; i < 20; ++i)
    asm volatile(".rept 200\n cmp %1, #10\n it ge\n addge %0, #1\n .endr" : "+r"(sum) : "r"(i) : "cc");
  return sum;
}
__attribute__((noinline, used)) int divides(int a, int b) { return a / b; }
__attribute__((noinline, used)) void traps_divisions() { *reinterpret_cast<volatile uint32_t *>(0xE000ED14) = 1u << 4; }
#endif
__attribute__((noinline, used)) void main_loop() {
  for (;;) works();
}
}

void application() {
#ifdef DIES_AT_START
  reads_nothing();
#endif
  if (chosen != frame) nowhere = chosen;
  main_loop();
  __builtin_unreachable();
}
