#include "model/builder.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "tensor/decode.h"

namespace rf {
namespace {

constexpr std::int64_t bert_separator = 102;  // [SEP] of the published vocabulary

}  // namespace

std::string Layer::operator[](std::string_view name) const {
  return index == none ? std::string(name) : fmt::format("blk.{}.{}", index, name);
}

Builder::Builder(const Gguf& file, const Spec& spec, int context, bool embed)
    : file_(file), spec_(spec), context_(context), embed_(embed || spec.pooling || !spec.causal) {
  program_.vocab = spec.vocab;
  program_.causal = spec.causal;
}

SlotId Builder::embed(const EmbedOptions& options) {
  Step& step = record(Op::embed, nullptr, none, slot("residual", spec_.hidden));
  step.linear[0] = linear("token_embd", spec_.hidden, spec_.vocab);
  if (options.positions) {
    const std::int64_t rows = tensor_of("position_embd.weight").rows();
    step.linear[1].weight = weight("position_embd.weight", spec_.hidden, rows);
    if (rows < context_)
      fail("{}: tensor 'position_embd.weight' has {} positions, fewer than the context of {}", file_.path(),
           rows, context_);
  }
  if (options.types) {
    const std::int64_t rows = tensor_of("token_types.weight").rows();
    // Types are what BERT's tokenizer tells of a pair; others, whose files may have two as well, tell none.
    const auto separator = file_.get<std::int64_t>("tokenizer.ggml.seperator_token_id", bert_separator);
    const bool told = rows >= 2 && !spec_.causal && separator >= 0 && separator < spec_.vocab &&
                      file_.get<std::string>("tokenizer.ggml.model", "") == "bert";
    if (told) program_.separator = static_cast<std::int32_t>(separator);
    step.linear[2].weight = weight("token_types.weight", spec_.hidden, rows, {0, told ? 2 : 1});
  }
  if (!options.norm.empty()) step.norm = norm(std::string(options.norm), spec_.hidden);
  step.scale = options.scale;
  return step.out;
}

SlotId Builder::embed_columns(const std::string& name, std::int64_t first, std::int64_t count, float scale,
                              SlotId out) {
  Tensor table = tensor_of(name + ".weight");
  const TypeInfo& type = type_info(table.type);
  if (table.rows() != spec_.vocab || first + count > table.columns())
    fail("{}: tensor '{}.weight' has shape [{}, {}], expected [at least {}, {}]", file_.path(), name,
         table.columns(), table.rows(), first + count, spec_.vocab);
  if (!holds_weights(table.type) || first % type.block_elements != 0 || count % type.block_elements != 0)
    fail("{}: tensor '{}.weight' has type {}, whose blocks do not end at column {}", file_.path(), name,
         type.name, first + count);
  table.data += row_bytes(table.type, first);
  table.shape = {count, table.rows(), 1, 1};
  Step& step = record(Op::embed, nullptr, none, out);
  step.linear[0].weight = static_cast<WeightId>(program_.weights.size());
  program_.weights.push_back({name + ".weight", table});
  taken_.try_emplace({name + ".weight", 0, 0}, step.linear[0].weight);
  step.scale = scale;
  return out;
}

Attention Builder::attention(const Layer& layer) {
  Attention a{.heads = layer->heads,
              .kv_heads = layer->kv_heads,
              .key_dim = layer->key_dim,
              .value_dim = layer->value_dim,
              .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(layer->key_dim))),
              .sees = spec_.causal ? Attention::Sees::past : Attention::Sees::all,
              .window = layer->window,
              .rope = layer->rope};
  a.rope.factors = rope_factors(layer, layer->rope.dims / 2);
  if (has(layer["attn_q_norm"])) a.q_norm = head_norm(layer["attn_q_norm"], a.key_dim, a.heads);
  if (has(layer["attn_k_norm"])) a.k_norm = head_norm(layer["attn_k_norm"], a.key_dim, a.kv_heads);
  if (has(layer["attn_sinks"])) a.sinks = vector(layer["attn_sinks"] + ".weight", a.heads);
  return a;
}

SlotId Builder::qkv(SlotId x, const Layer& layer, const Attention& a, const QkvOptions& options) {
  const std::int64_t queries = a.query_width(), keys = std::int64_t{a.kv_heads} * a.key_dim,
                     values = std::int64_t{a.kv_heads} * a.value_dim;
  Step& step = record(Op::qkv, &layer, x, slot("qkv", a.row_width()));
  if (!options.norm.empty()) step.norm = norm(layer[options.norm], width(x));
  step.clamp = options.clamp;
  if (has(layer["attn_qkv"])) {
    const std::string name = layer["attn_qkv"];
    const std::int64_t all = queries + keys + values;
    step.linear[0] = linear(name, width(x), all, {0, queries});
    step.linear[1] = linear(name, width(x), all, {queries, keys});
    step.linear[2] = linear(name, width(x), all, {queries + keys, values});
    return step.out;
  }
  step.linear[0] = linear(layer["attn_q"], width(x), queries);
  if (!a.stores) return step.out;
  step.linear[1] = linear(layer["attn_k"], width(x), keys);
  step.linear[2] = linear(layer[options.keys_are_values ? "attn_k" : "attn_v"], width(x), values);
  return step.out;
}

CacheId Builder::new_cache(const Layer& layer, const Attention& a) {
  program_.caches.push_back({layer.index, a.kv_heads, a.key_dim, a.value_dim, a.key_is_value});
  return static_cast<CacheId>(program_.caches.size()) - 1;
}

SlotId Builder::attend(SlotId qkv, const Layer& layer, Attention attention, const Seen& seen) {
  if (attention.cache == none) attention.cache = new_cache(layer, attention);
  Step& step =
      record(Op::attend, &layer, qkv, slot("attention", std::int64_t{attention.heads} * attention.value_dim));
  step.attention = attention;
  step.side = seen.slot;
  step.selection = seen.selection;
  return step.out;
}

Seen Builder::index(SlotId row, const Layer& layer, Attention heads, const Selection& selection) {
  heads.kv_heads = 1;
  heads.value_dim = 0;
  heads.key_is_value = true;
  heads.cache = new_cache(layer, heads);
  Step& step = record(Op::index, &layer, row, slot("seen", selection.width()));
  step.attention = heads;
  step.selection = selection;
  return {selection, step.out};
}

CacheId Builder::cache_of(const Layer& layer) const {
  const auto at = std::ranges::find(program_.caches, layer.index, &Cache::layer);
  return static_cast<CacheId>(at - program_.caches.begin());
}

SlotId Builder::gate_up(SlotId x, const Layer& layer, const GateUpOptions& options) {
  const std::string suffix(options.suffix), gate = layer["ffn_gate" + suffix], up = layer["ffn_up" + suffix];
  const std::int64_t rows = tensor_of(up + ".weight").rows();
  const bool separate = has(gate), joined = !separate && rows == 2 * std::int64_t{layer->ffn};
  const std::int64_t ffn = joined ? rows / 2 : rows;
  Step& step = record(separate || joined ? Op::gate_up : Op::matmul, &layer, x, slot("ffn", ffn));
  if (!options.norm.empty()) step.norm = norm(layer[options.norm], width(x));
  step.activation = options.activation;
  step.xielu = options.xielu;
  step.clamp = separate || joined ? options.clamp : 0;
  step.linear[0] = linear(separate ? gate : up, width(x), rows, {0, joined ? ffn : 0});
  if (separate) step.linear[1] = linear(up, width(x), rows);
  if (joined) step.linear[1] = linear(up, width(x), rows, {ffn, ffn});
  return step.out;
}

SlotId Builder::matmul(SlotId in, const Layer& layer, std::string_view name, const MatmulOptions& options) {
  const Tensor& tensor = tensor_of(layer[name] + ".weight");
  const std::int64_t rows = options.rows > 0 ? options.rows : tensor.rows();
  const std::int64_t columns = options.x_column != none ? tensor.columns() : width(in);
  Step& step = record(Op::matmul, &layer, in, none);
  step.linear[0] = linear(layer[name], columns, options.rows > 0 ? options.all_rows : tensor.rows(),
                          {options.first_row, options.rows});
  if (options.bias != none) step.linear[0].bias = options.bias;
  step.norm = options.norm.empty() ? options.given : norm(layer[options.norm], columns);
  step.activation = options.activation;
  finish_sum(step, options, layer);
  step.mul = options.mul;
  if (options.first_column != none) step.first_column = options.first_column, step.columns = rows;
  if (options.x_column != none) step.x_column = options.x_column, step.x_columns = columns;
  return step.out;
}

void Builder::finish_sum(Step& step, const MatmulOptions& options, const Layer& layer) {
  step.add = options.add;
  step.out = options.out != none ? options.out : options.add;
  step.scale = options.scale;
  step.out_scale = options.out_scale;
  step.post_last = options.post_last;
  step.post = options.post.empty() ? options.given_post : norm(layer[options.post], width(step.out));
}

SlotId Builder::row(Row::Kind kind, const RowOptions& options, const Layer& layer) {
  Step& step = record(Op::row, &layer, options.x, options.out);
  step.add = options.add;
  step.mul = options.mul;
  step.side = options.side;
  step.row = {.kind = kind, .streams = options.streams, .first = options.first};
  step.norm = options.norm;
  step.scale = options.scale;
  step.activation = options.activation;
  const std::int64_t streams = options.streams;
  if (!options.router.empty()) step.linear[0] = linear(options.router, width(options.x), streams);
  if (!options.coefficients.empty())
    step.linear[1] =
        linear(options.coefficients, streams, kind == Row::Kind::predict ? streams * streams : streams);
  if (!options.factors.empty()) step.linear[2].weight = vector(options.factors + ".weight", width(options.x));
  return step.out;
}

SlotId Builder::heads(SlotId in, const Layer& layer, std::string_view name, int count, SlotId out) {
  const Tensor& tensor = tensor_of(layer[name] + ".weight");
  const std::int64_t rows = tensor.rows() / count, rest = width(in) / count - tensor.columns();
  Step& step = record(Op::heads, &layer, in, none);
  step.linear[0] = matrices(layer[name], tensor.columns(), rows, count);
  const std::int64_t columns = count * (rows + rest);
  step.out = out != none ? out : slot(std::string(name), columns);
  if (width(step.out) != columns) step.columns = columns;
  step.heads = count;
  return step.out;
}

Routing Builder::routing() const {
  Routing routing{.experts = size("expert_count"), .used = size("expert_used_count")};
  routing.groups = size("expert_group_count", 1);
  routing.groups_used = size("expert_group_used_count", routing.groups);
  routing.normalise = flag("expert_weights_norm", false);
  routing.scale = factor("expert_weights_scale", 1);
  const int gating = has_key("expert_gating_func") ? size("expert_gating_func") : 1;
  if (gating < 1 || gating > 3)
    bad_key("expert_gating_func", "1 (softmax), 2 (sigmoid) or 3 (softmax of the chosen)");
  routing.gating = gating == 1   ? Routing::Gating::softmax
                   : gating == 2 ? Routing::Gating::sigmoid
                                 : Routing::Gating::softmax_of_chosen;
  return routing;
}

SlotId Builder::route(SlotId x, const Layer& layer, Routing& routing, std::string_view suffix,
                      const Norm& norm) {
  for (const char* bias : {"exp_probs_b.bias", "exp_probs_b"})
    if (suffix.empty() && find(layer[bias]) != nullptr) routing.bias = vector(layer[bias], routing.experts);
  Step& step = record(Op::route, &layer, x, slot("routes", 2 * std::int64_t{routing.used}));
  step.norm = norm;
  step.linear[0] = linear(layer["ffn_gate_inp" + std::string(suffix)], width(x), routing.experts);
  step.routing = routing;
  return step.out;
}

SlotId Builder::experts(SlotId x, const Layer& layer, Routing routing, const GateUpOptions& up,
                        const MatmulOptions& down) {
  const std::string suffix = up.suffix.empty() ? "_exps" : std::string(up.suffix);
  const Norm input_norm = up.norm.empty() ? Norm{} : norm(layer[up.norm], width(x));
  const std::string gates = layer["ffn_gate" + suffix], ups = layer["ffn_up" + suffix],
                    both = layer["ffn_gate_up" + suffix], downs = layer["ffn_down" + suffix];
  const bool joined = has(both);
  const std::int64_t ffn =
      tensor_of((joined ? both : ups) + ".weight").rows() / routing.experts / (joined ? 2 : 1);
  const std::int64_t rows = width(down.out != none ? down.out : down.add);
  Linear down_matrices = matrices(downs, ffn, rows, routing.experts);
  // Where nothing comes between, the experts' weights take the factors of their products.
  if (up.routes == none && !routing.weigh_input && down_matrices.bias == none)
    routing.factors = std::exchange(down_matrices.factors, none);
  const bool own_norm = up.router_norm.kind != Norm::Kind::off;
  const SlotId routes = up.routes != none
                            ? up.routes
                            : route(x, layer, routing, up.suffix, own_norm ? up.router_norm : input_norm);

  Step& first = record(Op::experts_up, &layer, x, slot("experts", routing.used * ffn));
  first.norm = input_norm;
  const bool gated = has(gates);
  if (joined) {
    first.linear[0] = matrices(both, width(x), 2 * ffn, routing.experts, {0, ffn});
    first.linear[1] = matrices(both, width(x), 2 * ffn, routing.experts, {ffn, ffn});
  } else {
    first.linear[0] = matrices(gated ? gates : ups, width(x), ffn, routing.experts);
    if (gated) first.linear[1] = matrices(ups, width(x), ffn, routing.experts);
  }
  first.activation = up.activation;
  first.clamp = up.clamp;
  first.routes = routes;
  first.routing = routing;

  Step& last = record(Op::experts_down, &layer, slot("experts", routing.used * ffn), none);
  last.linear[0] = down_matrices;
  last.routes = routes;
  last.routing = routing;
  finish_sum(last, down, layer);
  return last.out;
}

void Builder::logits(SlotId x, const LogitsOptions& options) {
  if (embed_) return hidden(x, options.norm);
  program_.logits = static_cast<SlotId>(program_.slots.size());
  program_.slots.push_back({spec_.vocab, true});
  Step& step = record(Op::logits, nullptr, x, program_.logits);
  step.norm = norm(std::string(options.norm), width(x));
  step.linear[0] = linear(has("output") ? "output" : "token_embd", width(x), spec_.vocab);
  step.scale = options.scale;
  step.softcap = options.softcap;
}

void Builder::hidden(SlotId x, std::string_view norm_name, Activation classifier) {
  program_.logits = static_cast<SlotId>(program_.slots.size());
  program_.slots.push_back({width(x), true});
  Step& step = record(Op::logits, nullptr, x, program_.logits);
  if (!norm_name.empty()) step.norm = norm(std::string(norm_name), width(x));

  Embedding& embedding = program_.embedding.emplace();
  embedding.ranked = spec_.causal ? Pooling::last : Pooling::cls;
  std::int64_t elements = width(x);
  for (const char* name : {"dense_2", "dense_3"})
    if (has(name)) embedding.projection.layers.push_back(head_layer(name, elements));
  elements = width(x);
  std::vector<HeadLayer>& layers = embedding.classifier.layers;
  if (has("cls")) {
    layers.push_back(head_layer("cls", elements));
    layers.back().activation = classifier;
    if (has("cls.norm")) layers.back().norm = norm("cls.norm", elements);
  }
  if (has("cls.output")) layers.push_back(head_layer("cls.output", elements));
  // A causal model ranks by the probability of its first answer.
  embedding.classifier.softmax = spec_.causal && elements > 1;
  embedding.pooling = spec_.pooling.value_or(spec_.causal     ? Pooling::last
                                             : layers.empty() ? Pooling::mean
                                                              : Pooling::rank);
}

HeadLayer Builder::head_layer(const std::string& name, std::int64_t& elements) {
  const std::int64_t rows = rows_of(name);
  HeadLayer layer{.linear = linear(name, elements, rows)};
  elements = rows;
  return layer;
}

Program Builder::finish() {
  for (const auto& [name, tensor] : file_.tensors())
    if (const auto at = taken_.lower_bound({std::string(name), 0, 0});
        at == taken_.end() || std::get<0>(at->first) != name)
      spdlog::debug("{}: tensor '{}' is not used", file_.path(), name);
  check(program_);
  return std::move(program_);
}

SlotId Builder::slot(const std::string& kind, std::int64_t slot_width) {
  const auto [at, added] = slots_.try_emplace({kind, slot_width}, static_cast<SlotId>(program_.slots.size()));
  if (added) program_.slots.push_back({slot_width, false});
  return at->second;
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
