// Families with experts whose layers are not quite Llama's: EXAONE with experts, Mellum 2, Hy 3, AFM with
// experts (Trinity), SmallThinker, Grok, MiMo V2, Step 3.5, Laguna, Arctic,
// MiniMax M3, GroveMoE.
#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "model/archs.h"
#include "model/blocks.h"
#include "model/indexer.h"

namespace rf {
namespace {

bool any_window(const Builder& b) {
  for (const LayerSpec& layer : b.spec().layers)
    if (layer.window > 0) return true;
  return false;
}

}  // namespace

// Layers without a window have no rotation.
void record_exaone_moe(Builder& b) {
  const bool windows = any_window(b);
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    if (windows && a.window == 0) a.rope = {};
    x = transformer_layer(b, x, b.layer(i), a, {.routing = b.routing()});
  }
  b.logits(x, {});
}

// Layers with a window rotate without the file's stretching.
void record_mellum(Builder& b) {
  Routing routing = b.routing();
  routing.normalise = true;
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    if (a.window > 0) a.rope = {.pairs = a.rope.pairs, .dims = a.rope.dims, .base = a.rope.base};
    x = transformer_layer(b, x, b.layer(i), a, {.routing = routing});
  }
  b.logits(x, {});
}

// Scores of experts are sigmoids unless the file says otherwise.
void record_hy3(Builder& b) {
  Routing routing = b.routing();
  if (!b.has_key("expert_gating_func")) routing.gating = Routing::Gating::sigmoid;
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i)
    x = transformer_layer(b, x, b.layer(i), b.attention(b.layer(i)), {.routing = routing});
  b.logits(x, {});
}

// Norms before and after; what attention gives is multiplied by a gate; layers without a window have no
// rotation.
void record_afmoe(Builder& b) {
  LayerOptions options{.ffn_post = "post_ffw_norm", .routing = b.routing()};
  if (!b.has_key("expert_gating_func")) options.routing.gating = Routing::Gating::sigmoid;
  const bool windows = any_window(b);
  SlotId x = b.embed({.scale = std::sqrt(static_cast<float>(b.spec().hidden))});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    Attention a = b.attention(w);
    if (windows ? a.window == 0 : i % 4 == 3) a.rope = {};
    const SlotId attended = b.attend(b.qkv(x, w, a, {}), w, a);
    const SlotId gated = gate_attention(b, x, attended, w, Activation::sigmoid);
    x = b.matmul(gated, w, "attn_output", {.add = x, .post = "post_attention_norm"});
    x = feed_forward(b, x, w, options, x);
  }
  b.logits(x, {});
}

// Experts are chosen by what comes into the layer; where some layers have a window, the others have no
// rotation.
void record_smallthinker(Builder& b) {
  const bool windows = any_window(b);
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    Attention a = b.attention(w);
    if (windows && a.window == 0) a.rope = {};
    Routing routing = b.routing();
    routing.normalise = true;
    const SlotId routes = b.route(x, w, routing, "", {});
    x = attention_block(b, x, w, a, {}, none);
    x = b.experts(x, w, routing, {.activation = Activation::relu, .routes = routes}, {.add = x});
  }
  b.logits(x, {});
}

namespace {

// Where the file does not say otherwise, scores are sigmoids and the weights of those chosen add up to one.
Routing sigmoid_routing(const Builder& b) {
  Routing routing = b.routing();
  if (!b.has_key("expert_gating_func")) routing.gating = Routing::Gating::sigmoid;
  routing.normalise = b.flag("expert_weights_norm", true);
  return routing;
}

}  // namespace

// What attention gives is scaled; layers with a window have sinks and more key heads.
void record_mimo2(Builder& b) {
  LayerOptions options{.residual_scale = b.number("attention.value_scale", 1)};
  if (options.residual_scale == 0) options.residual_scale = 1;
  const LayerOptions network{.routing = sigmoid_routing(b)};
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    x = attention_block(b, x, b.layer(i), b.attention(b.layer(i)), options, none);
    x = feed_forward(b, x, b.layer(i), network, x);
  }
  b.logits(x, {});
}

namespace {

// What gives a layer with gated attention: Step 3.5's and Laguna's are alike but for the gates.
SlotId gated_layer(Builder& b, SlotId x, const Layer& w, const Attention& a, Activation gates,
                   const LayerOptions& options) {
  const SlotId attended = b.attend(b.qkv(x, w, a, {}), w, a);
  const SlotId gated = b.has(w["attn_gate"]) ? gate_attention(b, x, attended, w, gates) : attended;
  x = b.matmul(gated, w, "attn_output", {.add = x});
  return feed_forward(b, x, w, options, x);
}

}  // namespace

// Layers without a window rotate half of what the file says, stretched where it says so. Gates are cut in
// some layers.
void record_step35(Builder& b) {
  LayerOptions options{.routing = sigmoid_routing(b)};
  const std::vector<float> experts = b.numbers_of("swiglu_clamp_exp"),
                           shared = b.numbers_of("swiglu_clamp_shexp");
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    Attention a = b.attention(w);
    if (a.window == 0) {
      a.rope.dims /= 2;
      a.rope.factors = b.rope_factors(w, a.rope.dims / 2);
    } else {
      a.rope.factors = none;
    }
    const auto k = static_cast<std::size_t>(i);
    options.expert_clamp = k < experts.size() ? experts[k] : 0;
    options.shared_clamp = k < shared.size() ? shared[k] : 0;
    x = gated_layer(b, x, w, a, Activation::sigmoid, options);
  }
  b.logits(x, {});
}

// Layers with a window rotate without the file's stretching.
void record_laguna(Builder& b) {
  LayerOptions options{.routing = sigmoid_routing(b)};
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    if (a.window > 0) a.rope = {.pairs = a.rope.pairs, .dims = a.rope.dims, .base = a.rope.base};
    x = gated_layer(b, x, b.layer(i), a, Activation::softplus, options);
  }
  b.logits(x, {});
}

// A dense network follows attention; experts read what came into the layer.
void record_arctic(Builder& b) {
  Routing routing = b.routing();
  routing.normalise = b.flag("expert_weights_norm", true);
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    const SlotId sum = attention_block(b, x, w, b.attention(w), {}, b.slot("parallel", b.spec().hidden));
    b.matmul(b.gate_up(sum, w, {}), w, "ffn_down", {.add = sum});
    x = b.experts(x, w, routing, {.norm = "ffn_norm_exps"}, {.add = sum, .out = x});
  }
  b.logits(x, {});
}

namespace {

// Gives each expert of the layer a matrix of its own out of `name`, which has one for `sharing` neighbours.
void spread_experts(Builder& b, const std::string& name, int experts, int sharing) {
  Tensor view = b.tensor_of(name);
  if (view.shape[2] * sharing != experts)
    fail("{}: tensor '{}' has {} matrices, expected one for each {} of {} experts", b.path(), name,
         view.shape[2], sharing, experts);
  const std::size_t bytes = static_cast<std::size_t>(view.shape[1]) * view.row_bytes;
  std::vector<std::byte> numbers(bytes * static_cast<std::size_t>(experts));
  for (int e = 0; e < experts; ++e)
    std::memcpy(numbers.data() + static_cast<std::size_t>(e) * bytes, view.row(e / sharing * view.shape[1]),
                bytes);
  view.shape[2] = experts;
  b.make(name, view, std::move(numbers));
}

}  // namespace

// Neighbouring experts share a small one, which runs with the weight of each that is chosen and counts for a
// part (arXiv:2508.07785 and its published code).
void record_grovemoe(Builder& b) {
  Routing routing = b.routing();
  routing.normalise = true;
  const int sharing = b.size("experts_per_group", 2);
  if (sharing > 16) b.bad_key("experts_per_group", fmt::format("at most 16, found {}", sharing));
  const float part = b.number("expert_group_scale", 0.05f);
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    for (const char* name : {"ffn_gate_chexps.weight", "ffn_up_chexps.weight", "ffn_down_chexps.weight"})
      spread_experts(b, w[name], routing.experts, sharing);
    x = attention_block(b, x, w, b.attention(w), {}, none);
    const SlotId routes = b.route(x, w, routing, "", b.norm(w["ffn_norm"], b.spec().hidden));
    const SlotId sum = b.experts(x, w, routing, {.suffix = "_chexps", .routes = routes},
                                 {.add = x, .out = b.slot("small experts", b.spec().hidden), .scale = part});
    x = b.experts(x, w, routing, {.routes = routes}, {.add = sum, .out = x});
  }
  b.logits(x, {});
}

// Gates are clamped. An indexer chooses blocks of positions.
void record_minimax3(Builder& b) {
  const LayerOptions options{.activation = Activation::swiglu_clamped, .routing = b.routing()};
  const Indexer indexer(b);
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    const Attention a = b.attention(w);
    x = attention_block(b, x, w, a, options, none, indexer.blocks(b, x, w, a));
    x = feed_forward(b, x, w, options, x);
  }
  b.logits(x, {});
}

// Scores are scaled and capped, norms come before and after. Grok 2 has a dense network beside the experts,
// half the square of each counting. Factors that old files lack are those of Grok 1.
void record_grok(Builder& b) {
  Routing routing = b.routing();
  routing.normalise = true;
  SlotId x = b.embed({.scale = b.factor("embedding_scale", 78.38367176906169f)});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    Attention a = b.attention(w);
    a.scale = b.number("attention.output_scale", 0.08838834764831845f);
    a.softcap = b.number("attn_logit_softcapping", 30);
    x = attention_block(b, x, w, a, {.attention_post = "attn_output_norm"}, none);
    const std::string_view post = b.has(w["layer_output_norm"]) ? "layer_output_norm" : "post_ffw_norm";
    const Builder::GateUpOptions up{.activation = Activation::gelu_tanh};
    if (!b.has(w["ffn_up"])) {
      x = b.experts(x, w, routing, up, {.add = x, .post = post});
      continue;
    }
    const SlotId dense =
        b.matmul(b.gate_up(x, w, up), w, "ffn_down", {.out = b.slot("dense", b.spec().hidden)});
    const SlotId both =
        b.experts(x, w, routing, up,
                  {.add = dense, .out = b.slot("both", b.spec().hidden), .out_scale = std::sqrt(0.5f)});
    x = b.row(Row::Kind::norm, {.x = both, .add = x, .out = x, .norm = b.norm(w[post], b.spec().hidden)}, w);
  }
  b.logits(x, {.scale = b.factor("logit_scale", 0.5773502691896257f),
               .softcap = b.number("final_logit_softcapping", 0)});
}

}  // namespace rf
