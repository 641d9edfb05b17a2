// Families with attention over one latent vector a position: DeepSeek V2, V3 and R1, V3.2, GLM-5, Mistral 4,
// MiniCPM 3 and PLM.
#include <cmath>

#include "model/archs.h"
#include "model/blocks.h"
#include "model/latent.h"

namespace rf {
namespace {

void latent_layers(Builder& b, SlotId x, const LayerOptions& options, const LatentOptions& latent = {}) {
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    x = latent_attention(b, x, w, latent);
    x = feed_forward(b, x, w, options, x);
  }
  b.logits(x, {});
}

}  // namespace

// Files that do not say how experts are scored are of V2, by softmax, or have a bias in the choice, by
// sigmoid.
void record_deepseek2(Builder& b) {
  LayerOptions options;
  if (b.has_experts()) options.routing = b.routing();
  const Layer last = b.layer(b.layers() - 1);
  if (!b.has_key("expert_gating_func") && b.find(last["exp_probs_b.bias"]) != nullptr)
    options.routing.gating = Routing::Gating::sigmoid;
  latent_layers(b, b.embed({}), options);
}

namespace {

// Scores of experts are sigmoids unless the file says otherwise.
void indexed_layers(Builder& b, Rope::Pairs indexer_pairs) {
  LayerOptions options{.routing = b.routing()};
  if (!b.has_key("expert_gating_func")) options.routing.gating = Routing::Gating::sigmoid;
  Indexer indexer(b);
  latent_layers(b, b.embed({}), options, {.indexer = &indexer, .indexer_pairs = indexer_pairs});
}

}  // namespace

// Attention rotates adjacent pairs, its indexer halves.
void record_deepseek32(Builder& b) {
  indexed_layers(b, Rope::Pairs::halves);
}

// Both rotate adjacent pairs.
void record_glm_dsa(Builder& b) {
  indexed_layers(b, Rope::Pairs::adjacent);
}

// MiniCPM's factors; where the file has none, those of the published model.
void record_minicpm3(Builder& b) {
  const float depth = 1.4f / std::sqrt(static_cast<float>(b.layers()));
  const float residual_scale = b.factor("residual_scale", depth);
  SlotId x = b.embed({.scale = b.factor("embedding_scale", 12)});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    x = latent_attention(b, x, w, {.residual_scale = residual_scale});
    x = feed_forward(b, x, w, {.residual_scale = residual_scale}, x);
  }
  const float usual = static_cast<float>(b.spec().hidden) / 256;
  b.logits(x, {.scale = 1 / b.factor("logit_scale", usual)});
}

// A network of squared ReLU without gates.
void record_plm(Builder& b) {
  latent_layers(b, b.embed({}), {.activation = Activation::relu_squared});
}

}  // namespace rf
