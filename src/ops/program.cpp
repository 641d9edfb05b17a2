#include "ops/program.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "tensor/decode.h"

namespace rf {
namespace {

// How many of Step::linear each op uses, and whether it reads a slot.
struct Form {
  const char* name;
  int linears;
  bool input;  // reads a slot
};

constexpr std::array<Form, 6> forms{{
    {"embed", 1, false},
    {"qkv", 3, true},
    {"attend", 0, true},
    {"matmul", 1, true},
    {"gate_up", 2, true},
    {"logits", 1, true},
}};  // in Op's order

const Form& form_of(Op op) {
  return forms[static_cast<std::size_t>(op)];
}

double bytes_of(const Program& program, WeightId id) {
  return id == none ? 0.0 : static_cast<double>(program.tensor(id).bytes());
}

// Checks one step; `written` says which slots earlier steps have filled.
class Checker {
 public:
  Checker(const Program& program, std::size_t index)
      : program_(program), step_(program.steps[index]), form_(form_of(step_.op)) {
    where_ = fmt::format("step {} ({}", index, form_.name);
    where_ += step_.layer == none ? ")" : fmt::format(", layer {})", step_.layer);
  }

  void run(std::vector<bool>& written) const {
    slots(written);
    switch (step_.op) {
      case Op::embed:
        linear(0, step_.out, program_.vocab);
        break;
      case Op::qkv:
        norm();
        rows_equal_output(linear(0, step_.x) + linear(1, step_.x) + linear(2, step_.x));
        break;
      case Op::attend:
        attention();
        break;
      case Op::matmul:
        norm();
        linear(0, step_.x, width(step_.out));
        break;
      case Op::gate_up:
        norm();
        linear(0, step_.x, width(step_.out));
        linear(1, step_.x, width(step_.out));
        break;
      case Op::logits:
        norm();
        linear(0, step_.x, program_.vocab);
        rows_equal_output(program_.vocab);
        break;
    }
    written[static_cast<std::size_t>(step_.out)] = true;
  }

 private:
  const Slot& slot(SlotId id) const { return program_.slots[static_cast<std::size_t>(id)]; }
  std::int64_t width(SlotId id) const { return slot(id).width; }

  void slots(const std::vector<bool>& written) const {
    const auto bad = [&](SlotId id) { return id < 0 || static_cast<std::size_t>(id) >= written.size(); };
    const auto readable = [&](SlotId id, const char* role) {
      if (bad(id)) fail("{}: its {} slot is {}, of {} slots", where_, role, id, written.size());
      if (!written[static_cast<std::size_t>(id)])
        fail("{}: its {} slot {} is read before any step writes it", where_, role, id);
      if (slot(id).wanted_rows) fail("{}: its {} slot {} holds the wanted rows only", where_, role, id);
    };
    if (form_.input) readable(step_.x, "input");
    if (bad(step_.out)) fail("{}: its output slot is {}, of {} slots", where_, step_.out, written.size());
    if (form_.input && step_.out == step_.x) fail("{}: it writes its input slot {}", where_, step_.x);
    if (slot(step_.out).wanted_rows != (step_.op == Op::logits))
      fail("{}: only logits has an output slot of the wanted rows", where_);
    if (step_.add == none) return;
    if (step_.op != Op::matmul) fail("{}: only matmul adds a slot", where_);
    readable(step_.add, "added");
    if (width(step_.add) != width(step_.out))
      fail("{}: it adds a slot of width {}, expected {}", where_, width(step_.add), width(step_.out));
  }

  const Weight& weight(WeightId id, const char* role) const {
    if (id < 0 || static_cast<std::size_t>(id) >= program_.weights.size())
      fail("{}: {} is weight {}, of {} weights", where_, role, id, program_.weights.size());
    const Weight& weight = program_.weights[static_cast<std::size_t>(id)];
    const Tensor& tensor = weight.tensor;
    if (!holds_weights(tensor.type))
      fail("{}: tensor '{}' has type {}, which does not hold weights", where_, weight.name,
           type_info(tensor.type).name);
    if (tensor.data == nullptr || tensor.columns() % type_info(tensor.type).block_elements != 0 ||
        tensor.row_bytes < row_bytes(tensor.type, tensor.columns()))
      fail("{}: tensor '{}' has no data for its rows of {} elements", where_, weight.name, tensor.columns());
    return weight;
  }

  // An optional f32 vector of `elements`.
  void vector(WeightId id, std::int64_t elements, const char* role) const {
    if (id == none) return;
    const Weight& found = weight(id, role);
    if (found.tensor.type != Type::f32 || found.tensor.columns() != elements || found.tensor.rows() != 1)
      fail("{}: {} tensor '{}' is {} [{}, {}], expected F32 [{}]", where_, role, found.name,
           type_info(found.tensor.type).name, found.tensor.columns(), found.tensor.rows(), elements);
  }

  void norm() const { vector(step_.norm.weight, width(step_.x), "norm"); }

  // Checks linear `i`, from slot `in` to `rows` (0: any number of them). Returns its rows.
  std::int64_t linear(int i, SlotId in, std::int64_t rows = 0) const {
    const Weight& found = weight(step_.linear[i].weight, "matrix");
    const Tensor& tensor = found.tensor;
    if (tensor.columns() != width(in) || (rows != 0 && tensor.rows() != rows))
      fail("{}: tensor '{}' is [{}, {}], expected [{}, {}]", where_, found.name, tensor.columns(),
           tensor.rows(), width(in), rows == 0 ? "any" : fmt::format("{}", rows));
    vector(step_.linear[i].bias, tensor.rows(), "bias");
    return tensor.rows();
  }

  void rows_equal_output(std::int64_t rows) const {
    if (rows != width(step_.out))
      fail("{}: its matrices have {} rows, its output slot has width {}", where_, rows, width(step_.out));
  }

  void attention() const {
    const Attention& a = step_.attention;
    if (a.heads <= 0 || a.kv_heads <= 0 || a.heads % a.kv_heads != 0 || a.key_dim <= 0 || a.value_dim <= 0)
      fail("{}: {} query heads of {} over {} key heads, values of {}", where_, a.heads, a.key_dim, a.kv_heads,
           a.value_dim);
    const std::int64_t in =
        std::int64_t{a.heads} * a.key_dim + std::int64_t{a.kv_heads} * (a.key_dim + a.value_dim);
    const std::int64_t out = std::int64_t{a.heads} * a.value_dim;
    if (width(step_.x) != in || width(step_.out) != out)
      fail("{}: slots of widths {} and {}, expected {} and {}", where_, width(step_.x), width(step_.out), in,
           out);
    if (a.rope.dims < 0 || a.rope.dims % 2 != 0 || a.rope.dims > a.key_dim)
      fail("{}: {} rotated dimensions of a head of {}", where_, a.rope.dims, a.key_dim);
    vector(a.q_norm, a.key_dim, "query norm");
    vector(a.k_norm, a.key_dim, "key norm");
    vector(a.rope.factors, a.rope.dims / 2, "rotary factors");
    if (a.cache < 0 || static_cast<std::size_t>(a.cache) >= program_.caches.size())
      fail("{}: its cache is {}, of {} caches", where_, a.cache, program_.caches.size());
    const Cache& cache = program_.caches[static_cast<std::size_t>(a.cache)];
    if (cache.kv_heads != a.kv_heads || cache.key_dim != a.key_dim || cache.value_dim != a.value_dim)
      fail("{}: cache {} holds {} heads of {} and {}, expected {} of {} and {}", where_, a.cache,
           cache.kv_heads, cache.key_dim, cache.value_dim, a.kv_heads, a.key_dim, a.value_dim);
  }

  const Program& program_;
  const Step& step_;
  const Form& form_;
  std::string where_;
};

}  // namespace

const char* op_name(Op op) {
  return form_of(op).name;
}

int linear_count(Op op) {
  return form_of(op).linears;
}

Cost cost_of(const Program& program, const Step& step, int rows, int wanted, double context,
             double kv_element_bytes) {
  if (step.op == Op::attend) {
    const Attention& a = step.attention;
    if (a.window > 0) context = std::min(context, static_cast<double>(rows) * a.window);
    const double dims = a.key_dim + a.value_dim;
    return {context * a.kv_heads * dims * kv_element_bytes, 2 * context * a.heads * dims};
  }
  if (step.op == Op::embed)
    return {static_cast<double>(rows) * static_cast<double>(program.tensor(step.linear[0].weight).row_bytes),
            0};
  const int computed = step.op == Op::logits ? wanted : rows;
  if (computed == 0) return {};
  Cost cost{bytes_of(program, step.norm.weight), 0};
  for (int i = 0; i < form_of(step.op).linears; ++i) {
    const Tensor& tensor = program.tensor(step.linear[i].weight);
    cost.bytes += static_cast<double>(tensor.bytes()) + bytes_of(program, step.linear[i].bias);
    cost.flops += 2.0 * computed * static_cast<double>(tensor.columns()) * static_cast<double>(tensor.rows());
  }
  return cost;
}

void check(const Program& program) {
  std::vector<bool> written(program.slots.size(), false);
  for (std::size_t i = 0; i < program.steps.size(); ++i) Checker(program, i).run(written);
  if (program.logits < 0 || static_cast<std::size_t>(program.logits) >= written.size() ||
      !written[static_cast<std::size_t>(program.logits)])
    fail("program: no step writes its logits slot {}", program.logits);
}

}  // namespace rf
