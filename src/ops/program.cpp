#include "ops/program.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "ops/checker.h"

namespace rf {
namespace {

constexpr std::array<Form, 15> forms{{
    {"embed", 3, false},
    {"qkv", 3, true},
    {"index", 0, true},
    {"attend", 0, true},
    {"matmul", 1, true},
    {"row", 3, true},
    {"gate_up", 2, true},
    {"heads", 1, true},
    {"route", 1, true},
    {"experts_up", 2, true},
    {"experts_down", 1, true},
    {"conv", 0, true},
    {"shift", 0, true},
    {"scan", 0, true},
    {"logits", 1, true},
}};  // in Op's order

// Throws Error where a layer's operands do not fit what it is fed with.
void check_head(const Program& program, const Head& head, std::int64_t elements) {
  const auto vector = [&](WeightId id, std::int64_t count) {
    if (id == none) return;
    const Weight& weight = program.weights[static_cast<std::size_t>(id)];
    if (weight.tensor.type != Type::f32 || weight.tensor.columns() * weight.tensor.rows() != count)
      fail("head: tensor '{}' is not F32 [{}]", weight.name, count);
  };
  for (const HeadLayer& layer : head.layers) {
    if (layer.linear.factors != none)
      fail("head: tensor '{}': factors of matrices are not supported here",
           program.weights[static_cast<std::size_t>(layer.linear.factors)].name);
    if (layer.linear.weight != none) {
      const Weight& weight = program.weights[static_cast<std::size_t>(layer.linear.weight)];
      if (weight.tensor.columns() != elements)
        fail("head: tensor '{}' has {} columns, expected {}", weight.name, weight.tensor.columns(), elements);
      elements = weight.tensor.rows();
    }
    vector(layer.linear.bias, elements);
    vector(layer.norm.weight, elements);
    vector(layer.norm.bias, elements);
  }
}

}  // namespace

const Form& form_of(Op op) {
  return forms[static_cast<std::size_t>(op)];
}

const char* op_name(Op op) {
  return form_of(op).name;
}

int linear_count(Op op) {
  return form_of(op).linears;
}

void check(const Program& program) {
  std::vector<bool> written(program.slots.size(), false);
  for (std::size_t i = 0; i < program.steps.size(); ++i) Checker(program, i).run(written);
  if (program.logits < 0 || static_cast<std::size_t>(program.logits) >= written.size() ||
      !written[static_cast<std::size_t>(program.logits)])
    fail("program: no step writes its logits slot {}", program.logits);
  if (!program.embedding) return;
  const std::int64_t hidden = program.slots[static_cast<std::size_t>(program.logits)].width;
  check_head(program, program.embedding->projection, hidden);
  check_head(program, program.embedding->classifier, hidden);
}

}  // namespace rf
