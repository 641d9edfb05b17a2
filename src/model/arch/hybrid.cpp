// Families that mix attention with recurrences. Which layer is of which kind is told by its tensors.
#include "model/archs.h"
#include "model/blocks.h"
#include "model/latent.h"
#include "model/recurrent.h"

namespace rf {
namespace {

Attention without_rope(Builder& b, const Layer& w) {
  Attention a = b.attention(w);
  a.rope = {};
  return a;
}

void qwen_layers(Builder& b, bool tiled) {
  LayerOptions options{.ffn_norm = "post_attention_norm"};
  if (b.has_experts()) {
    options.routing = b.routing();
    options.routing.normalise = b.flag("expert_weights_norm", true);
  }
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    if (b.has(w["ssm_conv1d"])) {
      x = delta_block(b, x, w, tiled);
    } else {
      Attention a = b.attention(w);
      a.gated = true;
      x = attention_block(b, x, w, a, options, none);
    }
    x = feed_forward(b, x, w, options, x);
  }
  b.logits(x, {});
}

}  // namespace

// Mamba, or attention without rotation; every layer has a network of its own, some have experts.
void record_jamba(Builder& b) {
  LayerOptions options;
  if (b.has_experts()) options.routing = b.routing();
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    x = b.has(w["ssm_in"]) ? mamba_block(b, x, w, {})
                           : attention_block(b, x, w, without_rope(b, w), options, none);
    x = feed_forward(b, x, w, options, x);
  }
  b.logits(x, {});
}

// Attention and Mamba 2 side by side in every layer; the published multipliers are in the file's weights.
void record_falcon_h1(Builder& b) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    const SlotId sum = attention_block(b, x, w, b.attention(w), {}, b.slot("parallel", b.spec().hidden));
    x = mamba2_block(b, x, w, {.add = sum});
    x = feed_forward(b, x, w, {}, x);
  }
  b.logits(x, {});
}

// Granite 4: as Granite, with Mamba 2 in most layers and no rotation where the file says so.
void record_granite_hybrid(Builder& b) {
  LayerOptions options{.residual_scale = b.factor("residual_scale", 1)};
  if (b.has_experts()) options.routing = b.routing(), options.routing.normalise = true;
  const bool rotates = b.flag("rope.scaling.finetuned", true);
  SlotId x = b.embed({.scale = b.factor("embedding_scale", 1)});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    if (b.has(w["ssm_in"])) {
      x = mamba2_block(b, x, w, {.residual_scale = options.residual_scale});
    } else {
      Attention a = rotates ? b.attention(w) : without_rope(b, w);
      a.scale = b.factor("attention.scale", a.scale);
      x = attention_block(b, x, w, a, options, none);
    }
    x = feed_forward(b, x, w, options, x);
  }
  b.logits(x, {.scale = 1 / b.factor("logit_scale", 1)});
}

namespace {

// Experts of a latent space, which one product leads to and another from; the router and the shared expert
// read the row itself.
SlotId latent_experts(Builder& b, SlotId x, const Layer& w, const LayerOptions& network) {
  Routing routing = network.routing;
  const SlotId routes = b.route(x, w, routing, "", b.norm(w[network.ffn_norm], b.spec().hidden));
  const std::int64_t width = b.rows_of(w["ffn_latent_down"]);
  const SlotId in =
      b.matmul(x, w, "ffn_latent_down", {.out = b.slot("latent", width), .norm = network.ffn_norm});
  const SlotId sum =
      b.experts(in, w, routing, {.norm = "", .activation = network.activation, .routes = routes},
                {.out = b.slot("latent sum", width)});
  const Builder::GateUpOptions up{
      .norm = network.ffn_norm, .activation = network.activation, .suffix = "_shexp"};
  const SlotId shared = b.matmul(b.gate_up(x, w, up), w, "ffn_down_shexp",
                                 {.add = x, .out = b.slot("shared", b.spec().hidden)});
  return b.matmul(sum, w, "ffn_latent_up", {.add = shared, .out = x});
}

}  // namespace

// Each layer is one thing: Mamba 2, attention without rotation, or a network of squared ReLU, dense or of
// experts, which may have a space of their own.
void record_nemotron_h(Builder& b) {
  LayerOptions network{.ffn_norm = "attn_norm", .activation = Activation::relu_squared};
  if (b.has_experts()) {
    network.routing = b.routing();
    network.routing.gating = Routing::Gating::sigmoid;
  }
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    if (b.has(w["ssm_in"]))
      x = mamba2_block(b, x, w, {});
    else if (b.has(w["ffn_latent_down"]))
      x = latent_experts(b, x, w, network);
    else if (b.has(w["ffn_down"]) || b.has(w["ffn_gate_inp"]))
      x = feed_forward(b, x, w, network, x);
    else
      x = attention_block(b, x, w, without_rope(b, w), {}, none);
  }
  b.logits(x, {});
}

// Kimi Linear: delta nets with a decay for each key, and attention over latent vectors without rotation.
void record_kimi_linear(Builder& b) {
  LayerOptions options;
  if (b.has_experts()) {
    options.routing = b.routing();
    options.routing.normalise = b.flag("expert_weights_norm", true);
  }
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    x = b.has(w["ssm_f_a"]) ? kda_block(b, x, w) : latent_attention(b, x, w, {.rotated = false});
    x = feed_forward(b, x, w, options, x);
  }
  b.logits(x, {});
}

// Short convolutions in most layers, experts in some files; the last norm is called token_embd_norm in most.
void record_lfm2(Builder& b) {
  LayerOptions options;
  if (b.has_experts()) {
    options.routing = b.routing();
    options.routing.normalise = b.flag("expert_weights_norm", true);
  }
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    x = b.has(w["shortconv.conv"]) ? short_conv_block(b, x, w)
                                   : attention_block(b, x, w, b.attention(w), options, none);
    x = feed_forward(b, x, w, options, x);
  }
  b.logits(x, {.norm = b.has("output_norm") ? "output_norm" : "token_embd_norm"});
}

// Gated delta nets between layers of gated attention. Heads that share keys stand side by side in files of
// Qwen 3 Next, and apart by the number of key heads in those of Qwen 3.5.
void record_qwen3next(Builder& b) {
  qwen_layers(b, false);
}

void record_qwen35(Builder& b) {
  qwen_layers(b, true);
}

}  // namespace rf
