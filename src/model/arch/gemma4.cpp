// Gemma 4, text: the last layers read the caches of earlier ones, and every layer may add an input of its
// own, made once from the token and its embedding. With experts, a dense network and a mixture read the same
// rows, each normed before and after, and their sum is normed once more.
#include "model/arch/gemma4.h"

#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/archs.h"
#include "model/blocks.h"

namespace rf {

std::vector<SlotId> layer_inputs(Builder& b, SlotId x) {
  std::vector<SlotId> slots;
  if (!b.has("per_layer_token_embd")) return slots;
  const int width = b.size("embedding_length_per_layer_input"), hidden = b.spec().hidden;
  for (int i = 0; i < b.layers(); ++i) {
    const std::int64_t first = std::int64_t{i} * width;
    const SlotId own =
        b.embed_columns("per_layer_token_embd", first, width, std::sqrt(static_cast<float>(width)),
                        b.slot("input of layer " + std::to_string(i), width));
    Norm norm = b.norm("per_layer_proj_norm", width);
    norm.eps *= static_cast<float>(hidden);  // in the place of the projection's scale
    slots.push_back(b.matmul(x, b.outside(), "per_layer_model_proj",
                             {.add = own,
                              .out_scale = static_cast<float>(std::sqrt(0.5)),
                              .first_row = first,
                              .rows = width,
                              .all_rows = std::int64_t{width} * b.layers(),
                              .given_post = norm}));
  }
  return slots;
}

int own_caches(const Builder& b) {
  const int shared = b.has_key("attention.shared_kv_layers") ? b.count("attention.shared_kv_layers") : 0;
  if (shared >= b.layers()) b.bad_key("attention.shared_kv_layers", "less than block_count");
  return b.layers() - shared;
}

int cache_owner(const Builder& b, int i, int own) {
  if (i < own) return i;
  const auto windowed = [&](int layer) { return b.layer(layer)->window > 0; };
  int owner = own - 1;
  while (owner >= 0 && windowed(owner) != windowed(i)) --owner;
  if (owner < 0) b.bad_key("attention.shared_kv_layers", "a layer of each kind with a cache of its own");
  return owner;
}

SlotId gemma_attention(Builder& b, SlotId x, const Layer& w, int owner,
                       const Builder::MatmulOptions& options) {
  Attention a = b.attention(w);
  a.scale = 1;
  if (owner == w.index) {
    a.v_norm = {.kind = Norm::Kind::rms, .eps = b.spec().norm_eps};
  } else {
    a.stores = false;
    a.cache = b.cache_of(b.layer(owner));
  }
  const SlotId qkv = b.qkv(x, w, a, {.keys_are_values = !b.has(w["attn_v"])});
  return b.matmul(b.attend(qkv, w, a), w, "attn_output", options);
}

namespace {

// x + the normed sum of both networks, times out_scale.
SlotId dense_and_experts(Builder& b, SlotId x, const Layer& w, float out_scale) {
  const int hidden = b.spec().hidden;
  const SlotId dense = b.matmul(b.gate_up(x, w, {.activation = Activation::gelu_tanh}), w, "ffn_down",
                                {.out = b.slot("dense", hidden), .post = "post_ffw_norm_1"});
  Routing routing = b.routing();
  routing.normalise = true;
  routing.logit_scale = 1 / std::sqrt(static_cast<float>(hidden));
  const Norm router_norm{.kind = Norm::Kind::rms,
                         .weight = b.numbers(w["ffn_gate_inp.scale"], hidden),
                         .eps = b.spec().norm_eps};
  const SlotId sum =
      b.experts(x, w, routing,
                {.norm = "pre_ffw_norm_2", .activation = Activation::gelu_tanh, .router_norm = router_norm},
                {.add = dense, .post = "post_ffw_norm_2"});
  return b.row(Row::Kind::norm,
               {.x = sum,
                .add = x,
                .out = b.slot("residual", hidden),
                .norm = b.norm(w["post_ffw_norm"], hidden),
                .scale = out_scale},
               w);
}

}  // namespace

void record_gemma4(Builder& b) {
  const int own = own_caches(b);
  SlotId x = b.embed({.scale = std::sqrt(static_cast<float>(b.spec().hidden))});
  const std::vector<SlotId> inputs = layer_inputs(b, x);
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    const float out_scale = b.has(w["layer_output_scale"]) ? b.scalar(w["layer_output_scale.weight"]) : 1;
    x = gemma_attention(b, x, w, cache_owner(b, i, own), {.add = x, .post = "post_attention_norm"});
    const float ffn_scale = inputs.empty() ? out_scale : 1;
    x = b.has(w["ffn_gate_inp"])
            ? dense_and_experts(b, x, w, ffn_scale)
            : b.matmul(b.gate_up(x, w, {.activation = Activation::gelu_tanh}), w, "ffn_down",
                       {.add = x, .post = "post_ffw_norm", .out_scale = ffn_scale});
    if (inputs.empty()) continue;
    const SlotId input = inputs[static_cast<std::size_t>(i)];
    const SlotId gated = b.matmul(
        x, w, "inp_gate",
        {.out = b.slot("layer gate", b.width(input)), .activation = Activation::gelu_tanh, .mul = input});
    x = b.matmul(gated, w, "proj", {.add = x, .post = "post_norm", .out_scale = out_scale});
  }
  b.logits(x, {.softcap = b.number("final_logit_softcapping", 30)});
}

}  // namespace rf
