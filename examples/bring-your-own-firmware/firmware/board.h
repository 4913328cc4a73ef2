// What both firmwares share: start-up without any library, a UART that has to be waited for, a tick.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace board {

extern volatile uint32_t ticks;

class Uart {
 public:
  explicit Uart(uintptr_t base) : base_(base) {}
  void send(char character) const;
  void print(const char *text) const;

 private:
  volatile uint32_t &word(uintptr_t offset) const {
    return *reinterpret_cast<volatile uint32_t *>(base_ + offset);
  }
  uintptr_t base_;
};

extern const Uart console;

// Waits for the tick to move on; without a clock it never comes back.
void pause(uint32_t count);

}  // namespace board

// The application: called once, never comes back.
[[noreturn]] void application();
