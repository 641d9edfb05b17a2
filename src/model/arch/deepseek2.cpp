// DeepSeek V2, V3 and R1: attention over one latent vector a position (arXiv:2405.04434), with the key and
// value projections of each head moved to its query and its result.
#include <cmath>

#include "model/archs.h"
#include "model/blocks.h"

namespace rf {
namespace {

// The softmax scale grows with YaRN's stretch, while cosines and sines keep their magnitude.
float latent_scale(const Builder& b, Rope& rope, int head_dim) {
  float grow = 1;
  if (rope.yarn_factor > 0) {
    grow = 1 + b.number("rope.scaling.yarn_log_multiplier", 0) * std::log(rope.yarn_factor);
    if (b.has_key("rope.scaling.yarn_log_multiplier")) rope.magnitude = 1;
  }
  return grow * grow / std::sqrt(static_cast<float>(head_dim));
}

SlotId latent_attention(Builder& b, SlotId x, const Layer& w) {
  const int latent = b.size("attention.kv_lora_rank"),
            head_dim = b.size("attention.key_length_mla", w->key_dim),
            rotated = b.size("rope.dimension_count"), heads = w->heads;
  Attention a = b.attention(w);
  a.kv_heads = 1;
  a.key_dim = latent + rotated;
  a.value_dim = latent;
  a.key_is_value = true;
  a.rope.offset = latent;
  a.scale = latent_scale(b, a.rope, head_dim);
  a.k_norm = b.norm(w["attn_kv_a_norm"], latent);
  a.key_normed = latent;
  // Queries, whose own part goes through k_b into the latent space, then the latent row itself.
  SlotId q;
  const SlotId whole = b.slot("latent queries", std::int64_t{heads} * head_dim);
  if (b.has(w["attn_q_a"])) {
    const SlotId low = b.matmul(x, w, "attn_q_a",
                                {.out = b.slot("low rank", b.rows_of(w["attn_q_a"])), .norm = "attn_norm"});
    q = b.matmul(low, w, "attn_q_b", {.out = whole, .norm = "attn_q_a_norm"});
  } else {
    q = b.matmul(x, w, "attn_q", {.out = whole, .norm = "attn_norm"});
  }
  const SlotId row = b.slot("latent row", a.row_width());
  b.heads(q, w, "attn_k_b", heads, row);
  b.matmul(x, w, "attn_kv_a_mqa",
           {.out = row, .norm = "attn_norm", .first_column = std::int64_t{heads} * a.key_dim});
  const SlotId values = b.heads(b.attend(row, w, a), w, "attn_v_b", heads, none);
  return b.matmul(values, w, "attn_output", {.add = x});
}

}  // namespace

void record_deepseek2(Builder& b) {
  LayerOptions options;
  if (b.has_key("expert_count")) options.routing = b.routing();
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    x = latent_attention(b, x, w);
    x = feed_forward(b, x, w, options, x);
  }
  b.logits(x, {});
}

}  // namespace rf
