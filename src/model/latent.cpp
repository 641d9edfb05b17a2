#include "model/latent.h"

#include <cmath>

#include "base/error.h"

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

// attn_k_b and attn_v_b out of attn_kv_b, whose rows are each head's keys, then its values: keys are
// transposed, as a query is multiplied with them.
void split_projection(Builder& b, const Layer& w, int latent, int keys) {
  const std::string name = w["attn_kv_b.weight"];
  const Tensor& both = b.tensor_of(name);
  const std::int64_t heads = w->heads, rows = both.rows() / heads;
  if (both.columns() != latent || both.rows() % heads != 0 || rows <= keys)
    fail("{}: tensor '{}' has shape [{}, {}], expected [{}, more than {} for each of {} heads]", b.path(),
         name, both.columns(), both.rows(), latent, keys, heads);
  Tensor values = both;
  values.data = both.row(keys);
  values.shape = {latent, rows - keys, heads, 1};
  values.apart = rows;
  const std::vector<float> numbers = b.decoded(name);
  std::vector<float> transposed(static_cast<std::size_t>(heads * keys * latent));
  for (std::int64_t h = 0; h < heads; ++h)
    for (std::int64_t k = 0; k < keys; ++k)
      for (std::int64_t l = 0; l < latent; ++l)
        transposed[static_cast<std::size_t>((h * latent + l) * keys + k)] =
            numbers[static_cast<std::size_t>((h * rows + k) * latent + l)];
  b.make(w["attn_v_b.weight"], values);
  b.make_numbers(w["attn_k_b.weight"], transposed, {keys, latent, heads, 1});
}

}  // namespace

SlotId latent_attention(Builder& b, SlotId x, const Layer& w, const LatentOptions& options) {
  const int latent = b.size("attention.kv_lora_rank"),
            head_dim = b.size("attention.key_length_mla", w->key_dim),
            rotated = b.size("rope.dimension_count"), heads = w->heads;
  if (heads < 1) b.bad_key("attention.head_count", "at least 1");
  if (rotated >= head_dim)
    b.bad_key("rope.dimension_count",
              fmt::format("less than the head's size, {}, found {}", head_dim, rotated));
  if (!b.has(w["attn_k_b"])) split_projection(b, w, latent, head_dim - rotated);
  Attention a = b.attention(w);
  a.kv_heads = 1;
  a.key_dim = latent + rotated;
  a.value_dim = latent;
  a.key_is_value = true;
  a.scale = latent_scale(b, a.rope, head_dim);
  a.rope.offset = latent;
  if (!options.rotated) a.rope = {};
  a.temperature = b.number("attention.temperature_scale", 0);
  if (a.temperature != 0)
    a.temperature_length = static_cast<float>(
        b.size("attention.temperature_length", b.size("rope.scaling.original_context_length", 1)));
  a.k_norm = b.norm(w["attn_kv_a_norm"], latent);
  a.key_normed = latent;
  // Queries, whose own part goes through k_b into the latent space, then the latent row itself.
  SlotId q;
  Seen seen;
  const SlotId whole = b.slot("latent queries", std::int64_t{heads} * head_dim);
  if (b.has(w["attn_q_a"])) {
    const SlotId low = b.matmul(x, w, "attn_q_a",
                                {.out = b.slot("low rank", b.rows_of(w["attn_q_a"])), .norm = "attn_norm"});
    q = b.matmul(low, w, "attn_q_b", {.out = whole, .norm = "attn_q_a_norm"});
    if (options.indexer != nullptr) {
      Rope rope = a.rope;
      rope.pairs = options.indexer_pairs;
      seen = options.indexer->positions(b, x, low, w, rope);
    }
  } else {
    q = b.matmul(x, w, "attn_q", {.out = whole, .norm = "attn_norm"});
  }
  const SlotId row = b.slot("latent row", a.row_width());
  b.heads(q, w, "attn_k_b", heads, row);
  b.matmul(x, w, "attn_kv_a_mqa",
           {.out = row, .norm = "attn_norm", .first_column = std::int64_t{heads} * a.key_dim});
  const SlotId values = b.heads(b.attend(row, w, a, seen), w, "attn_v_b", heads, none);
  return b.matmul(values, w, "attn_output", {.add = x, .scale = options.residual_scale});
}

}  // namespace rf
