// Encoders: every position sees all of its text. BERT, RoBERTa and XLM-R, Nomic's, Jina's: norms follow the
// additions; ModernBERT: norms before, windows on two layers of three.
#include "base/error.h"
#include "model/archs.h"
#include "model/blocks.h"

namespace rf {
namespace {

// Attention with positions of `alibi` where that is not 0, of the rotation where `rotated`.
void post_norm_layers(Builder& b, SlotId x, Activation activation, bool rotated, float alibi) {
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    Attention a = b.attention(w);
    if (!rotated) a.rope = {};
    a.alibi = alibi;
    a.norm_over = Attention::NormOver::row;
    x = transformer_layer(b, x, w, a,
                          {.attention_norm = "",
                           .attention_post = "attn_output_norm",
                           .ffn_norm = "",
                           .ffn_post = "layer_output_norm",
                           .activation = activation,
                           .post_last = true,
                           .routing = b.has_experts() ? b.routing() : Routing{}});
  }
  b.hidden(x, "");
}

SlotId embed(Builder& b, bool positions) {
  return b.embed({.norm = "token_embd_norm", .positions = positions, .types = b.has("token_types")});
}

}  // namespace

// Learned positions where the file has them, else rotation (Jina v3).
void record_bert(Builder& b) {
  const bool learned = b.has("position_embd");
  post_norm_layers(b, embed(b, learned), Activation::gelu, !learned, 0);
}

void record_nomic_bert(Builder& b) {
  post_norm_layers(b, embed(b, false), Activation::silu, true, 0);
}

// On every second layer or so experts, whose weights keep no sum.
void record_nomic_bert_moe(Builder& b) {
  post_norm_layers(b, embed(b, false), Activation::gelu, true, 0);
}

void record_jina_bert(Builder& b) {
  post_norm_layers(b, embed(b, false), Activation::gelu, false, b.number("attention.max_alibi_bias", 8));
}

// Norms before, one matrix for gate and up.
void record_neo_bert(Builder& b) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) x = transformer_layer(b, x, b.layer(i), b.attention(b.layer(i)), {});
  b.hidden(x, "enc.output_norm");
}

void record_modern_bert(Builder& b) {
  const std::string name = b.text("hidden_activation", "gelu");
  const Activation activation = name == "silu" ? Activation::silu : Activation::gelu;
  if (name != "silu" && name != "gelu") b.bad_key("hidden_activation", "gelu or silu, found " + name);
  SlotId x = b.embed({.norm = "token_embd_norm"});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);  // the first one's input is normed already
    x = transformer_layer(
        b, x, w, b.attention(w),
        {.attention_norm = b.has(w["attn_norm"]) ? "attn_norm" : "", .activation = activation});
  }
  b.hidden(x, "output_norm", Activation::gelu);
}

}  // namespace rf
