#include "app/self_test.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "plan/plan.h"

namespace rf {
namespace {

constexpr int hidden = 64, heads = 4, kv_heads = 2, head_dim = 16, ffn = 96, vocab = 80, tokens = 7;

// One layer of a small transformer with random f32 weights.
class TinyModel {
 public:
  TinyModel();
  const Program& program() const { return program_; }

 private:
  WeightId weight(const char* name, int columns, int rows, float spread, float centre = 0);
  SlotId slot(int width, bool wanted_rows = false);
  Step& step(Op op, SlotId x, SlotId out, const std::array<Linear, 3>& linears);

  std::vector<std::vector<float>> values_;
  std::mt19937 random_{1};
  Program program_;
};

WeightId TinyModel::weight(const char* name, int columns, int rows, float spread, float centre) {
  std::vector<float>& values =
      values_.emplace_back(static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows));
  // A plain map of the generator's words: distributions differ between standard libraries.
  for (float& v : values) v = centre + spread * (static_cast<float>(random_() >> 8) * 0x1p-23f - 1);
  Tensor tensor;
  tensor.type = Type::f32;
  tensor.shape = {columns, rows, 1, 1};
  tensor.row_bytes = static_cast<std::size_t>(columns) * sizeof(float);
  tensor.data = reinterpret_cast<const std::byte*>(values.data());
  program_.weights.push_back({name, tensor});
  return static_cast<WeightId>(program_.weights.size()) - 1;
}

SlotId TinyModel::slot(int width, bool wanted_rows) {
  program_.slots.push_back({width, wanted_rows});
  return static_cast<SlotId>(program_.slots.size()) - 1;
}

Step& TinyModel::step(Op op, SlotId x, SlotId out, const std::array<Linear, 3>& linears) {
  Step& step = program_.steps.emplace_back();
  step.op = op;
  step.layer = op == Op::embed || op == Op::logits ? none : 0;
  step.x = x;
  step.out = out;
  std::copy(linears.begin(), linears.end(), step.linear);
  return step;
}

TinyModel::TinyModel() {
  values_.reserve(16);  // tensors view these vectors' memory, which moving a vector keeps
  const auto norm = [&](const char* name) {
    return Norm{.kind = Norm::Kind::rms, .weight = weight(name, hidden, 1, 0.2f, 1), .eps = 1e-5f};
  };
  const auto linear = [&](const char* name, int in, int out) {
    return Linear{weight(name, in, out, 0.2f), none};
  };
  const SlotId x = slot(hidden), qkv = slot((heads + 2 * kv_heads) * head_dim),
               attended = slot(heads * head_dim);
  const SlotId middle = slot(hidden), gated = slot(ffn), out = slot(hidden);
  program_.vocab = vocab;
  program_.logits = slot(vocab, true);
  program_.caches.push_back({0, kv_heads, head_dim, head_dim});

  step(Op::embed, none, x, {{linear("embed", hidden, vocab)}});
  step(Op::qkv, x, qkv,
       {{linear("q", hidden, heads * head_dim), linear("k", hidden, kv_heads * head_dim),
         linear("v", hidden, kv_heads * head_dim)}})
      .norm = norm("attention_norm");
  Attention& attention = step(Op::attend, qkv, attended, {}).attention;
  attention.heads = heads;
  attention.kv_heads = kv_heads;
  attention.key_dim = attention.value_dim = head_dim;
  attention.scale = 1 / std::sqrt(static_cast<float>(head_dim));
  attention.rope.dims = head_dim;
  attention.cache = 0;
  step(Op::matmul, attended, middle, {{linear("attention_output", heads * head_dim, hidden)}}).add = x;
  step(Op::gate_up, middle, gated, {{linear("gate", hidden, ffn), linear("up", hidden, ffn)}}).norm =
      norm("ffn_norm");
  step(Op::matmul, gated, out, {{linear("down", ffn, hidden)}}).add = middle;
  step(Op::logits, out, program_.logits, {{linear("output", hidden, vocab)}}).norm = norm("output_norm");
  check(program_);
}

std::vector<float> logits_on(const Program& program, std::unique_ptr<Backend> backend) {
  RunLimits limits;
  limits.batch = {.rows = tokens, .wanted = tokens, .sequences = 1, .pages = 2};
  limits.kv = KvType::f32;
  limits.page_tokens = 4;
  limits.cache_pages = 2;
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(std::move(backend));
  Plan plan(program, std::move(backends), limits);
  Batch batch(limits.batch);
  const std::array<std::int32_t, 2> pages{1, 0};
  batch.add_sequence(pages);
  for (int i = 0; i < tokens; ++i) batch.add_row(i * 11 % vocab, i, true);
  plan.run(batch);
  const std::span<const float> logits = plan.logits(tokens);
  return {logits.begin(), logits.end()};
}

}  // namespace

double self_test(std::unique_ptr<Backend> backend) {
  const TinyModel model;
  const std::vector<float> expected = logits_on(model.program(), make_reference());
  const std::vector<float> found = logits_on(model.program(), std::move(backend));
  const auto [low, high] = std::minmax_element(expected.begin(), expected.end());
  double worst = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(static_cast<double>(found[i]) - static_cast<double>(expected[i]));
    worst = difference <= worst ? worst : difference;  // NaN counts as worst
  }
  return worst / (static_cast<double>(*high) - static_cast<double>(*low));
}

}  // namespace rf
