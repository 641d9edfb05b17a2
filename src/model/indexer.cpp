#include "model/indexer.h"

#include "base/error.h"

namespace rf {
namespace {

// Whether the layer has an indexer of its own. Layers of GLM-5 may share: files without a list of them lack
// the tensors there, or have them in all layers: of GLM 5.2, which is known by its context, the first three
// layers have one and each fourth after them.
bool has_own(const Builder& b, const Layer& w) {
  constexpr int first = 3, every = 4, of_context = 1 << 20;
  const std::string_view key = "attention.indexer.types";
  const std::vector<bool> own = b.flags_of(key);
  const auto layers = static_cast<std::size_t>(b.layers());
  if (!own.empty() && own.size() < layers)
    b.bad_key(key, fmt::format("a value for each of {} layers, found {}", layers, own.size()));
  if (!own.empty()) return own[static_cast<std::size_t>(w.index)];
  if (b.spec().architecture != "glm-dsa" || w.index == 0) return true;
  if (!b.has(w["indexer.attn_q_b"])) return false;
  return b.spec().context < of_context || w.index < first || (w.index - first + 1) % every == 0;
}

void expect_room_for(const Builder& b, const Rope& rope, int key_dim) {
  if (rope.dims > key_dim)
    b.bad_key("attention.indexer.key_length", fmt::format("at least {}, found {}", rope.dims, key_dim));
}

// A product that is `count` columns of `row`.
Builder::MatmulOptions part_of(SlotId row, std::int64_t first, std::int64_t count, std::string_view norm) {
  return {.out = row, .norm = norm, .first_column = first, .rows = count, .all_rows = count};
}

}  // namespace

Indexer::Indexer(const Builder& b)
    : heads_(b.size("attention.indexer.head_count")), key_dim_(b.size("attention.indexer.key_length")) {
  selection_.blocks = b.size("attention.indexer.top_k");
  selection_.block = b.size("attention.indexer.block_size", 1);
  if (b.has_key("attention.indexer.local_blocks"))
    selection_.local = b.count("attention.indexer.local_blocks");
  if (selection_.local > selection_.blocks)
    b.bad_key("attention.indexer.local_blocks",
              fmt::format("at most top_k, {}, found {}", selection_.blocks, selection_.local));
  chooses_ = !selection_.sees_all(b.context() - 1);
}

Seen Indexer::positions(Builder& b, SlotId x, SlotId low, const Layer& w, Rope rope) {
  if (!chooses_) return {};
  if (!has_own(b, w)) {
    if (before_.slot == none) b.bad_key("attention.indexer.types", "a first layer that chooses");
    return before_;
  }
  expect_room_for(b, rope, key_dim_);
  rope.offset = 0;
  const std::int64_t queries = std::int64_t{heads_} * key_dim_, keys = queries + key_dim_;
  const SlotId row = b.slot("indexed", keys + heads_);
  b.matmul(low, w, "indexer.attn_q_b", part_of(row, 0, queries, "attn_q_a_norm"));
  b.matmul(x, w, "indexer.attn_k", part_of(row, queries, key_dim_, "attn_norm"));
  b.matmul(x, w, "indexer.proj", part_of(row, keys, heads_, "attn_norm"));
  Norm norm{
      .kind = Norm::Kind::layer, .weight = b.numbers(w["indexer.k_norm.weight"], key_dim_), .eps = 1e-6f};
  if (b.find(w["indexer.k_norm.bias"]) != nullptr) norm.bias = b.numbers(w["indexer.k_norm.bias"], key_dim_);
  selection_.weighted = true;
  return before_ = b.index(row, w, {.heads = heads_, .key_dim = key_dim_, .k_norm = norm, .rope = rope},
                           selection_);
}

Seen Indexer::blocks(Builder& b, SlotId x, const Layer& w, const Attention& attention) const {
  if (!chooses_ || !b.has(w["indexer.q_proj"])) return {};
  if (heads_ != attention.kv_heads)
    b.bad_key("attention.indexer.head_count",
              fmt::format("attention.head_count_kv, {}, found {}", attention.kv_heads, heads_));
  expect_room_for(b, attention.rope, key_dim_);
  const std::int64_t queries = std::int64_t{heads_} * key_dim_;
  const SlotId row = b.slot("indexed", queries + key_dim_);
  b.matmul(x, w, "indexer.q_proj", part_of(row, 0, queries, "attn_norm"));
  b.matmul(x, w, "indexer.k_proj", part_of(row, queries, key_dim_, "attn_norm"));
  Selection selection = selection_;
  selection.groups = heads_;
  return b.index(row, w,
                 {.heads = heads_,
                  .key_dim = key_dim_,
                  .q_norm = b.norm(w["indexer.q_norm"], key_dim_),
                  .k_norm = b.norm(w["indexer.k_norm"], key_dim_),
                  .rope = attention.rope},
                 selection);
}

}  // namespace rf
