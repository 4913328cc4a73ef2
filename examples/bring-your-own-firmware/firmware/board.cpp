#include "board.h"

extern "C" {
extern uint32_t board_data[], board_data_end[], board_data_load[], board_bss[], board_bss_end[], board_stack_top[];
extern void (*board_constructors[])(), (*board_constructors_end[])();
[[noreturn]] void Reset_Handler();
void SysTick_Handler();
[[noreturn]] void Default_Handler();

// No library is linked; the compiler still asks for these.
void *memcpy(void *to, const void *from, size_t bytes) {
  volatile uint8_t *target = static_cast<uint8_t *>(to);
  for (size_t i = 0; i < bytes; ++i) target[i] = static_cast<const uint8_t *>(from)[i];
  return to;
}
void *memset(void *to, int value, size_t bytes) {
  volatile uint8_t *target = static_cast<uint8_t *>(to);
  for (size_t i = 0; i < bytes; ++i) target[i] = static_cast<uint8_t>(value);
  return to;
}
}

namespace board {

volatile uint32_t ticks;
const Uart console(0x40004400);

void Uart::send(char character) const {
  while ((word(0x1C) & 0x80u) == 0) {  // until the transmit register is empty
  }
  word(0x28) = static_cast<uint8_t>(character);
}

void Uart::print(const char *text) const {
  while (*text != 0) send(*text++);
}

__attribute__((noinline)) void pause(uint32_t count) {
  const uint32_t start = ticks;
  while (ticks - start < count) {
  }
}

}  // namespace board

void Reset_Handler() {
  const uint32_t *from = board_data_load;
  for (volatile uint32_t *to = board_data; to < board_data_end;) *to++ = *from++;
  for (volatile uint32_t *to = board_bss; to < board_bss_end;) *to++ = 0;
  for (auto constructor = board_constructors; constructor != board_constructors_end; ++constructor) (*constructor)();
  *reinterpret_cast<volatile uint32_t *>(0xE000E014) = 79999;  // SysTick: reload value, then clock and interrupt on
  *reinterpret_cast<volatile uint32_t *>(0xE000E010) = 7;
  application();
}

void SysTick_Handler() { board::ticks = board::ticks + 1; }

void Default_Handler() {
  for (;;) {
  }
}

using Vector = void (*)();
// The initial stack pointer is data among functions: a union keeps both constant.
union Entry {
  const void *pointer;
  Vector function;
};
extern "C" __attribute__((section(".vectors"), used)) const Entry vector_table[16] = {
    {.pointer = board_stack_top}, {.function = Reset_Handler},   {.function = Default_Handler},
    {.function = Default_Handler}, {.function = Default_Handler}, {.function = Default_Handler},
    {.function = Default_Handler}, {.function = nullptr},         {.function = nullptr},
    {.function = nullptr},         {.function = nullptr},         {.function = Default_Handler},
    {.function = Default_Handler}, {.function = nullptr},         {.function = Default_Handler},
    {.function = SysTick_Handler},
};
