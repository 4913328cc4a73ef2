// A gadget that recognizes digits: a hand-written network with its own way of being called, and no runtime at all.
#include "board.h"
#include "weights.h"

namespace gadget {

template <typename T>
struct Span {
  T *data;
  size_t size;
};

struct Dense {
  const int8_t *weights;
  const int32_t *bias;
  int32_t inputs, outputs, input_zero, output_zero, multiplier, shift, low;
};

class Model {
 public:
  enum class Status : int { ok = 0x51, bad_size = 0x52, bad_state = 0x53 };

  Model(const Dense &first, const Dense &second) : first_(first), second_(second), ready_(kReady) {}
  Status run(Span<const int8_t> input, Span<int8_t> output);
  uint32_t runs() const { return runs_; }

 private:
  static constexpr uint32_t kReady = 0xC0FFEE;
  static void dense(const Dense &layer, const int8_t *input, int8_t *output);
  static int32_t scaled(int32_t value, const Dense &layer);

  const Dense &first_;
  const Dense &second_;
  int8_t hidden_[HIDDEN];
  uint32_t ready_;
  uint32_t runs_ = 0;
};

const Dense kFirst = {weights_0, bias_0, INPUTS, HIDDEN, INPUT_ZERO, HIDDEN_ZERO, MULTIPLIER_0, SHIFT_0, HIDDEN_ZERO};
const Dense kSecond = {weights_1, bias_1, HIDDEN, OUTPUTS, HIDDEN_ZERO, OUTPUT_ZERO, MULTIPLIER_1, SHIFT_1, -128};

// Filled by a constructor that runs before the application.
Model model(kFirst, kSecond);
int8_t frame[INPUTS];
int8_t scores[OUTPUTS];

__attribute__((noinline)) int32_t Model::scaled(int32_t value, const Dense &layer) {
  const int64_t product = static_cast<int64_t>(value) * layer.multiplier;
  const int64_t half = int64_t{1} << (layer.shift - 1);
  return static_cast<int32_t>((product + half) >> layer.shift);
}

__attribute__((noinline)) void Model::dense(const Dense &layer, const int8_t *input, int8_t *output) {
  for (int32_t o = 0; o < layer.outputs; ++o) {
    int32_t sum = layer.bias[o];
    for (int32_t i = 0; i < layer.inputs; ++i) sum += (input[i] - layer.input_zero) * layer.weights[o * layer.inputs + i];
    int32_t value = scaled(sum, layer) + layer.output_zero;
    if (value < layer.low) value = layer.low;
    if (value > 127) value = 127;
    output[o] = static_cast<int8_t>(value);
  }
}

__attribute__((noinline)) Model::Status Model::run(Span<const int8_t> input, Span<int8_t> output) {
  if (ready_ != kReady) return Status::bad_state;
  if (input.size != INPUTS || output.size != OUTPUTS) return Status::bad_size;
  board::pause(1);  // lets the sensor settle
  dense(first_, input.data, hidden_);
  dense(second_, hidden_, output.data);
  ++runs_;
  return Status::ok;
}

__attribute__((noinline, used)) int classify_frame() {
  board::console.print("go\n");
  return static_cast<int>(model.run({frame, INPUTS}, {scores, OUTPUTS}));
}

// Two functions of one name.
__attribute__((noinline, used)) int self_test(int value) { return value + 1; }
__attribute__((noinline, used)) int self_test(const int8_t *values) { return values[0]; }

__attribute__((noinline)) void main_loop() {
  for (;;) classify_frame();
}

}  // namespace gadget

// What can go wrong in firmware, to be called from outside.
extern "C" {
__attribute__((noinline, used)) void breaks_flash() { *reinterpret_cast<volatile uint32_t *>(0x08000100) = 1; }
__attribute__((noinline, used)) int divides(int a, int b) { return a / b; }
__attribute__((noinline, used)) void never_returns() {
  for (volatile int i = 0;;) i = i + 1;
}
__attribute__((noinline, used)) void jumps_away() { reinterpret_cast<void (*)()>(0x60000001)(); }
__attribute__((noinline, used)) int reads_nothing() { return *reinterpret_cast<volatile int *>(0x70000000); }

__attribute__((noinline, used)) void says(const char *text) {  // semihosting: write a text
  register uint32_t operation asm("r0") = 4;
  register const char *argument asm("r1") = text;
  asm volatile("bkpt 0xAB" : "+r"(operation) : "r"(argument) : "memory");
}
__attribute__((noinline, used)) int greets() {
  says("hello\n");
  return 7;
}
}

void application() {
  board::console.print("ready\n");
  board::pause(2);
  gadget::main_loop();
  __builtin_unreachable();
}
