// An interpreter of our own that keeps its tables in the form that TensorFlow Lite Micro's have, and a model file.
//
// It reads the flatbuffer where it lies: shapes and lists of tensors are used in place, as arrays with their length.
#include "board.h"
#include "weights.h"

namespace mini {

struct Numbers {
  int32_t size;
  int32_t data[1];
};

struct Table {
  const uint8_t *at;
  const uint8_t *field(int slot) const {
    const uint8_t *vtable = at - *reinterpret_cast<const int32_t *>(at);
    const uint16_t bytes = *reinterpret_cast<const uint16_t *>(vtable);
    if (4 + 2 * slot >= bytes) return nullptr;
    const uint16_t entry = *reinterpret_cast<const uint16_t *>(vtable + 4 + 2 * slot);
    return entry != 0 ? at + entry : nullptr;
  }
  const uint8_t *follow(int slot) const {
    const uint8_t *place = field(slot);
    return place != nullptr ? place + *reinterpret_cast<const uint32_t *>(place) : nullptr;
  }
  const Numbers *numbers(int slot) const { return reinterpret_cast<const Numbers *>(follow(slot)); }
  Table child(int slot, int index) const {
    const uint8_t *place = follow(slot) + 4 + 4 * index;
    return {place + *reinterpret_cast<const uint32_t *>(place)};
  }
  template <typename T>
  T value(int slot, T otherwise) const {
    const uint8_t *place = field(slot);
    return place != nullptr ? *reinterpret_cast<const T *>(place) : otherwise;
  }
};

struct Context;
struct Node {
  const Numbers *inputs, *outputs, *intermediates;
  void *user;
  const void *options;
};
struct Registration {
  void *(*init)(Context *, const char *, size_t);
  void (*free)(Context *, void *);
  int (*prepare)(Context *, Node *);
  int (*invoke)(Context *, Node *);
  void (*reset)(Context *, void *);
  int32_t code;
  const char *custom_name;
};
enum class Type : uint8_t { none = 0, int32 = 2, int8 = 9 };
struct EvalTensor {
  const void *data;
  const Numbers *dims;
  Type type;
};
struct Context {
  size_t tensors;
  EvalTensor *table;
  int arguments_left;
};

class Resolver {
 public:
  virtual const Registration *find(int32_t code) const {
    for (int i = 0; i < used_; ++i)
      if (rows_[i].code == code) return &rows_[i];
    return nullptr;
  }
  void add(const Registration &row) { rows_[used_++] = row; }

 private:
  Registration rows_[4];
  int used_ = 0;
};

class Interpreter {
 public:
  Interpreter(const uint8_t *file, Resolver &resolver) : model_{file + *reinterpret_cast<const uint32_t *>(file)}, resolver_(resolver) {}
  bool allocate(uint8_t *arena, size_t bytes);
  int invoke();
  void *input() { return const_cast<void *>(tensors_[graph().numbers(1)->data[0]].data); }
  const void *output() { return tensors_[graph().numbers(2)->data[0]].data; }

 private:
  Table graph() const { return model_.child(2, 0); }
  Table model_;
  Resolver &resolver_;
  Context context_{};
  EvalTensor *tensors_ = nullptr;
  Node *nodes_ = nullptr;
};

static Dense const *next_dense = dense_layers;

static void *dense_init(Context *, const char *, size_t) { return const_cast<Dense *>(next_dense++); }
static int prepare(Context *, Node *) { return 0; }

static int32_t scaled(int32_t value, int32_t multiplier, int32_t right) {
  const int64_t product = static_cast<int64_t>(value) * multiplier;
  const int32_t high = static_cast<int32_t>((product + (int64_t{1} << 30)) >> 31);
  const int32_t mask = (1 << right) - 1;
  return (high >> right) + ((high & mask) > (mask >> 1) + (high < 0 ? 1 : 0) ? 1 : 0);
}

static int dense(Context *context, Node *node) {
  const Dense &layer = *static_cast<const Dense *>(node->user);
  const EvalTensor *tensors = context->table;
  const EvalTensor &weights = tensors[node->inputs->data[1]];
  const int32_t outputs = weights.dims->data[0], inputs = weights.dims->data[1];
  const int8_t *x = static_cast<const int8_t *>(tensors[node->inputs->data[0]].data);
  const int8_t *w = static_cast<const int8_t *>(weights.data);
  const int32_t *bias = static_cast<const int32_t *>(tensors[node->inputs->data[2]].data);
  int8_t *y = static_cast<int8_t *>(const_cast<void *>(tensors[node->outputs->data[0]].data));
  for (int32_t o = 0; o < outputs; ++o) {
    int32_t sum = bias[o];
    for (int32_t i = 0; i < inputs; ++i) sum += (x[i] - layer.input_zero) * w[o * inputs + i];
    int32_t value = scaled(sum, layer.multiplier, layer.right) + layer.output_zero;
    if (value < layer.low) value = layer.low;
    y[o] = static_cast<int8_t>(value > 127 ? 127 : value);
  }
  return 0;
}

static int reshape(Context *context, Node *node) {
  const EvalTensor &from = context->table[node->inputs->data[0]];
  const EvalTensor &to = context->table[node->outputs->data[0]];
  int32_t count = 1;
  for (int32_t i = 0; i < from.dims->size; ++i) count *= from.dims->data[i];
  for (int32_t i = 0; i < count; ++i)
    static_cast<int8_t *>(const_cast<void *>(to.data))[i] = static_cast<const int8_t *>(from.data)[i];
  return 0;
}

bool Interpreter::allocate(uint8_t *arena, size_t bytes) {
  const Numbers *count = graph().numbers(0);
  const Numbers *steps = graph().numbers(3);
  uint8_t *tail = arena + bytes - (count->size * sizeof(EvalTensor) + 15) / 16 * 16;
  tensors_ = reinterpret_cast<EvalTensor *>(tail);
  nodes_ = reinterpret_cast<Node *>(tail - steps->size * sizeof(Node));
  for (int32_t i = 0; i < count->size; ++i) {
    const Table tensor = graph().child(0, i);
    const Numbers *dims = tensor.numbers(0);
    const Table buffer = model_.child(4, static_cast<int>(tensor.value<uint32_t>(2, 0)));
    const uint8_t *constant = buffer.follow(0);
    const Type type = tensor.value<int8_t>(1, 0) == 2 ? Type::int32 : Type::int8;
    size_t size = 1;
    for (int32_t d = 0; d < dims->size; ++d) size *= static_cast<size_t>(dims->data[d]);
    tensors_[i] = {constant != nullptr ? constant + 4 : arena, dims, type};
    if (constant == nullptr) arena += (size + 15) / 16 * 16;
  }
  context_ = {static_cast<size_t>(count->size), tensors_, 0};
  for (int32_t i = 0; i < steps->size; ++i) {
    const Table step = graph().child(3, i);
    const Table code = model_.child(1, static_cast<int>(step.value<uint32_t>(0, 0)));
    const Registration *row = resolver_.find(code.value<int8_t>(0, 0));
    if (row == nullptr) return false;
    nodes_[i] = {step.numbers(1), step.numbers(2), nullptr, nullptr, nullptr};
    if (row->init != nullptr) nodes_[i].user = row->init(&context_, nullptr, 0);
    if (row->prepare(&context_, &nodes_[i]) != 0) return false;
  }
  return arena < reinterpret_cast<uint8_t *>(nodes_);
}

__attribute__((noinline)) int Interpreter::invoke() {
  const Numbers *steps = graph().numbers(3);
  for (int32_t i = 0; i < steps->size; ++i) {
    const Table code = model_.child(1, static_cast<int>(graph().child(3, i).value<uint32_t>(0, 0)));
    if (resolver_.find(code.value<int8_t>(0, 0))->invoke(&context_, &nodes_[i]) != 0) return 1;
  }
  return 0;
}

alignas(16) uint8_t tensor_arena[4096];
Resolver resolver;

}  // namespace mini

void application() {
  mini::resolver.add({nullptr, nullptr, mini::prepare, mini::reshape, nullptr, 22, nullptr});
  mini::resolver.add({mini::dense_init, nullptr, mini::prepare, mini::dense, nullptr, 9, nullptr});
  static mini::Interpreter interpreter(model_file, mini::resolver);
  if (!interpreter.allocate(mini::tensor_arena, sizeof mini::tensor_arena)) board::console.print("no room\n");
  for (;;) {
    interpreter.invoke();
    board::console.print(".");
  }
}
