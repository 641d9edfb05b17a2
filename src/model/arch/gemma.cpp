// Gemma 1 to 3: embeddings times the root of their width, GELU gates; from 2 on norms before and after, from
// 3 on norms of queries and keys.
#include <cmath>

#include "model/archs.h"
#include "model/blocks.h"

namespace rf {
namespace {

void gemma_layers(Builder& b, const LayerOptions& options, float query_scale, float softcap,
                  float final_softcap) {
  SlotId x = b.embed({.scale = std::sqrt(static_cast<float>(b.spec().hidden))});
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    if (query_scale != 0) a.scale = query_scale;
    a.softcap = softcap;
    x = transformer_layer(b, x, b.layer(i), a, options);
  }
  b.logits(x, {.softcap = b.number("final_logit_softcapping", final_softcap)});
}

// The two models of 27B divide queries by the root of hidden / heads, which no key says.
float query_scale(const Builder& b) {
  const int hidden = b.spec().hidden, heads = b.layer(0)->heads;
  const bool large = (hidden == 4608 || hidden == 5376) && heads == 32;
  return large ? 1 / std::sqrt(static_cast<float>(hidden) / static_cast<float>(heads)) : 0;
}

}  // namespace

void record_gemma(Builder& b) {
  gemma_layers(b, {.activation = Activation::gelu_tanh}, 0, 0, 0);
}

void record_gemma2(Builder& b) {
  gemma_layers(b,
               {.attention_post = "post_attention_norm",
                .ffn_post = "post_ffw_norm",
                .activation = Activation::gelu_tanh},
               query_scale(b), b.number("attn_logit_softcapping", 50), 30);
}

void record_gemma3(Builder& b) {
  gemma_layers(b,
               {.attention_post = "post_attention_norm",
                .ffn_post = "post_ffw_norm",
                .activation = Activation::gelu_tanh},
               query_scale(b), 0, 0);
}

}  // namespace rf
