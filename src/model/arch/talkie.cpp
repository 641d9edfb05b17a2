// Talkie: norms have no weights, but for a gain of each head's queries after their rotation, and every layer
// adds a part of the embedding again.
#include "base/error.h"
#include "model/archs.h"
#include "model/blocks.h"

namespace rf {
namespace {

// A gain for each head as weights of its elements.
void spread_gains(Builder& b, const Layer& w) {
  const std::string name = w["attn_q_norm.weight"];
  const std::vector<float> gains = b.decoded(name);
  if (gains.size() != static_cast<std::size_t>(w->heads))
    fail("{}: tensor '{}' has {} elements, expected one for each of {} heads", b.path(), name, gains.size(),
         w->heads);
  std::vector<float> weights;
  for (const float gain : gains) weights.insert(weights.end(), static_cast<std::size_t>(w->key_dim), gain);
  b.make_numbers(name, weights, {w->key_dim, w->heads, 1, 1});
}

}  // namespace

void record_talkie(Builder& b) {
  b.allow_plain_norms();
  const std::int64_t hidden = b.spec().hidden;
  const Norm plain{.kind = Norm::Kind::rms, .eps = b.spec().norm_eps};
  const SlotId embedding = b.embed_columns("token_embd", 0, hidden, 1, b.slot("embedding", hidden));
  SlotId x =
      b.row(Row::Kind::norm, {.x = embedding, .out = b.slot("residual", hidden), .norm = plain}, b.outside());
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    spread_gains(b, w);
    Attention a = b.attention(w);
    a.k_norm = plain;
    a.norm_after_rope = true;
    x = transformer_layer(b, x, w, a, {});
    // The normed embedding times one number is a norm whose weights are all that number.
    const std::vector<float> part(static_cast<std::size_t>(hidden), b.scalar(w["layer_output_scale.weight"]));
    b.make_numbers(w["embedding_part.weight"], part, {hidden, 1, 1, 1});
    x = b.row(Row::Kind::norm,
              {.x = embedding, .add = x, .out = x, .norm = b.norm(w["embedding_part"], hidden)}, w);
  }
  b.logits(x, {.scale = b.factor("logit_scale", 1)});
}

}  // namespace rf
