// The families with layer norms and ungated networks: GPT-2, GPT-NeoX, StarCoder 2, Phi 2, Falcon, BLOOM,
// MPT, Nemotron; and StableLM and Jais, which gate.
#include "model/archs.h"
#include "model/blocks.h"

namespace rf {
namespace {

void gpt_layers(Builder& b, SlotId x, const LayerOptions& options, bool rotated, float alibi) {
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    if (!rotated) a.rope = {};
    a.alibi = alibi;
    x = transformer_layer(b, x, b.layer(i), a, options);
  }
  b.logits(x, {});
}

}  // namespace

void record_gpt2(Builder& b) {
  gpt_layers(b, b.embed({.positions = true}), {.activation = Activation::gelu_tanh}, false, 0);
}

void record_starcoder2(Builder& b) {
  gpt_layers(b, b.embed({}), {.activation = Activation::gelu_tanh}, true, 0);
}

void record_gptneox(Builder& b) {
  gpt_layers(b, b.embed({}),
             {.activation = Activation::gelu, .parallel = b.flag("use_parallel_residual", true)}, true, 0);
}

// One norm for both branches, but for the largest Falcon models, where attention has its own.
void record_falcon(Builder& b) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    const bool two = b.has(w["attn_norm_2"]);
    x = transformer_layer(b, x, w, b.attention(w),
                          {.attention_norm = two ? "attn_norm_2" : "attn_norm",
                           .ffn_norm = "attn_norm",
                           .activation = Activation::gelu,
                           .parallel = true});
  }
  b.logits(x, {});
}

void record_phi2(Builder& b) {
  gpt_layers(b, b.embed({}), {.ffn_norm = "attn_norm", .activation = Activation::gelu_tanh, .parallel = true},
             true, 0);
}

void record_bloom(Builder& b) {
  gpt_layers(b, b.embed({.norm = "token_embd_norm"}), {.activation = Activation::gelu_tanh}, false,
             b.number("attention.max_alibi_bias", 8));
}

void record_mpt(Builder& b) {
  const bool learned = b.has("position_embd");
  gpt_layers(b, b.embed({.positions = learned}),
             {.activation = Activation::gelu, .clamp = b.number("attention.clamp_kqv", 0)}, false,
             b.number("attention.max_alibi_bias", 0));
}

// Jais: the width of heads, not its root, divides the scores (maximal update parametrisation,
// arXiv:2203.03466).
void record_jais(Builder& b) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    a.rope = {};
    a.scale = 1 / static_cast<float>(a.key_dim);
    a.alibi = b.number("attention.max_alibi_bias", 8);
    x = transformer_layer(b, x, b.layer(i), a, {});
  }
  b.logits(x, {});
}

void record_nemotron(Builder& b) {
  gpt_layers(b, b.embed({}), {.activation = Activation::relu_squared}, true, 0);
}

// Without a norm of its own the network reads what attention reads.
void record_stablelm(Builder& b) {
  const bool parallel = !b.has(b.layer(0)["ffn_norm"]);
  gpt_layers(b, b.embed({}), {.ffn_norm = parallel ? "attn_norm" : "ffn_norm", .parallel = parallel}, true,
             0);
}

}  // namespace rf
