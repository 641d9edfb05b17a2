#include "model/builder.h"

#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "tensor/decode.h"

namespace rf {

std::string Layer::operator[](std::string_view name) const {
  return fmt::format("blk.{}.{}", index, name);
}

Builder::Builder(const Gguf& file, const Spec& spec) : file_(file), spec_(spec) {
  const std::int64_t heads = spec.heads, kv_heads = spec.kv_heads;
  program_.vocab = spec.vocab;
  x_ = slot(spec.hidden);
  qkv_ = slot(heads * spec.key_dim + kv_heads * (spec.key_dim + spec.value_dim));
  attention_ = slot(heads * spec.value_dim);
  gate_ = slot(spec.ffn);
  program_.logits = slot(spec.vocab, true);
}

void Builder::refuse(std::string_view key, std::string_view what) const {
  const std::string full = fmt::format("{}.{}", spec_.architecture, key);
  if (file_.get<std::uint64_t>(full, 0) != 0)
    fail("{}: not supported yet: {} (key '{}')", file_.path(), what, full);
}

SlotId Builder::embed() {
  record(Op::embed, nullptr, none, x_).linear[0] = linear("token_embd", spec_.hidden, spec_.vocab);
  return x_;
}

SlotId Builder::qkv(SlotId x, const Layer& layer) {
  const std::int64_t keys = std::int64_t{spec_.kv_heads} * spec_.key_dim;
  Step& step = record(Op::qkv, &layer, x, qkv_);
  step.norm = norm(layer["attn_norm"], x);
  step.linear[0] = linear(layer["attn_q"], width(x), std::int64_t{spec_.heads} * spec_.key_dim);
  step.linear[1] = linear(layer["attn_k"], width(x), keys);
  step.linear[2] = linear(layer["attn_v"], width(x), std::int64_t{spec_.kv_heads} * spec_.value_dim);
  return qkv_;
}

SlotId Builder::attend(SlotId qkv, const Layer& layer, const AttendOptions& options) {
  Attention a{.heads = spec_.heads,
              .kv_heads = spec_.kv_heads,
              .key_dim = spec_.key_dim,
              .value_dim = spec_.value_dim,
              .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(spec_.key_dim))),
              .window = spec_.window,
              .norm_eps = spec_.norm_eps,
              .rope = spec_.rope,
              .cache = static_cast<CacheId>(program_.caches.size())};
  if (!options.q_norm.empty()) a.q_norm = vector(options.q_norm + ".weight", spec_.key_dim);
  if (!options.k_norm.empty()) a.k_norm = vector(options.k_norm + ".weight", spec_.key_dim);
  a.rope.factors = rope_factors();
  program_.caches.push_back({layer.index, a.kv_heads, a.key_dim, a.value_dim});
  record(Op::attend, &layer, qkv, attention_).attention = a;
  return attention_;
}

SlotId Builder::gate_up(SlotId x, const Layer& layer, Activation activation) {
  Step& step = record(Op::gate_up, &layer, x, gate_);
  step.norm = norm(layer["ffn_norm"], x);
  step.linear[0] = linear(layer["ffn_gate"], width(x), spec_.ffn);
  step.linear[1] = linear(layer["ffn_up"], width(x), spec_.ffn);
  step.activation = activation;
  return gate_;
}

SlotId Builder::matmul(SlotId in, const Layer& layer, std::string_view name, SlotId add) {
  Step& step = record(Op::matmul, &layer, in, add);
  step.linear[0] = linear(layer[name], width(in), width(add));
  step.add = add;
  return add;
}

void Builder::logits(SlotId x) {
  Step& step = record(Op::logits, nullptr, x, program_.logits);
  step.norm = norm("output_norm", x);
  const bool tied = file_.find("output.weight") == nullptr;
  step.linear[0] = linear(tied ? "token_embd" : "output", width(x), spec_.vocab);
}

Program Builder::finish() {
  for (const auto& [name, tensor] : file_.tensors())
    if (!taken_.contains(std::string(name))) spdlog::debug("{}: tensor '{}' is not used", file_.path(), name);
  check(program_);
  return std::move(program_);
}

SlotId Builder::slot(std::int64_t width, bool wanted_rows) {
  program_.slots.push_back({width, wanted_rows});
  return static_cast<SlotId>(program_.slots.size() - 1);
}

WeightId Builder::weight(const std::string& name, std::int64_t columns, std::int64_t rows) {
  const Tensor& tensor = file_.tensor(name);
  if (tensor.columns() != columns || tensor.rows() != rows)
    fail("{}: tensor '{}' has shape [{}, {}], expected [{}, {}]", file_.path(), name, tensor.columns(),
         tensor.rows(), columns, rows);
  if (!holds_weights(tensor.type))
    fail("{}: tensor '{}' has type {}, which does not hold weights", file_.path(), name,
         type_info(tensor.type).name);
  const auto [entry, added] = taken_.try_emplace(name, static_cast<WeightId>(program_.weights.size()));
  if (added) program_.weights.push_back({name, tensor});
  return entry->second;
}

WeightId Builder::vector(const std::string& name, std::int64_t elements) {
  const WeightId id = weight(name, elements, 1);
  if (program_.tensor(id).type != Type::f32)
    fail("{}: tensor '{}' has type {}, expected F32", file_.path(), name,
         type_info(program_.tensor(id).type).name);
  return id;
}

Linear Builder::linear(const std::string& name, std::int64_t columns, std::int64_t rows) {
  Linear linear{.weight = weight(name + ".weight", columns, rows)};
  if (file_.find(name + ".bias") != nullptr) linear.bias = vector(name + ".bias", rows);
  return linear;
}

Norm Builder::norm(const std::string& name, SlotId x) {
  return {vector(name + ".weight", width(x)), spec_.norm_eps};
}

// Llama 3 files bake their stretched frequencies into one vector for all layers.
WeightId Builder::rope_factors() {
  const std::string name = "rope_freqs.weight";
  if (file_.find(name) == nullptr) return none;
  const int count = spec_.rope.dims / 2;
  const WeightId id = vector(name, count);
  const auto* factors = reinterpret_cast<const float*>(program_.tensor(id).data);
  for (int i = 0; i < count; ++i)
    if (!std::isfinite(factors[i]) || factors[i] <= 0)
      fail("{}: tensor '{}' has element {} = {}, expected positive numbers", file_.path(), name, i,
           factors[i]);
  return id;
}

Step& Builder::record(Op op, const Layer* layer, SlotId x, SlotId out) {
  Step& step = program_.steps.emplace_back();
  step.op = op;
  step.layer = layer == nullptr ? none : layer->index;
  step.x = x;
  step.out = out;
  return step;
}

}  // namespace rf
