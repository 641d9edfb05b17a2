#include <algorithm>

#include "gpu/kernel_names.h"
#include "gpu/lower.h"

namespace rf::gpu {
void Lowering::rope(const Rope& rope) {
  RopeParams p{};
  p.frequencies = layout_.frequencies(rope);
  p.batch = layout_.batch();
  p.table = layout_.rope_table(rope);
  p.pairs = rope.dims / 2;
  p.magnitude = rope.magnitude;
  add("rf_rope", p, (p.pairs + 63) / 64, bucket_.rows);
}

AttentionView Lowering::attention_view(const Attention& a) const {
  AttentionView v{};
  v.heads = a.heads;
  v.kv_heads = a.kv_heads;
  v.key_dim = a.key_dim;
  v.value_dim = a.value_dim;
  v.scale = a.scale;
  v.sees = static_cast<std::int32_t>(a.sees);
  v.window = a.window;
  v.softcap = a.softcap;
  v.slopes = a.alibi > 0 ? layout_.slopes(a) : nullptr;
  v.sinks = layout_.vector(a.sinks);
  v.q_norm = layout_.norm(a.q_norm);
  v.k_norm = layout_.norm(a.k_norm);
  v.v_norm = layout_.norm(a.v_norm);
  v.key_normed = a.key_normed > 0 ? a.key_normed : a.key_dim;
  const auto shared = [&](const Norm& norm, int dim) {
    if (norm.weight == none) return 1;
    const Tensor& tensor = layout_.program().tensor(norm.weight);
    return tensor.columns() * tensor.rows() == dim ? 1 : 0;
  };
  v.q_shared = shared(a.q_norm, a.key_dim);
  v.k_shared = shared(a.k_norm, v.key_normed);
  v.v_shared = shared(a.v_norm, a.value_dim);
  v.norm_over_row = a.norm_over == Attention::NormOver::row ? 1 : 0;
  v.norm_after_rope = a.norm_after_rope ? 1 : 0;
  v.rope = a.rope.dims > 0 ? layout_.rope_table(a.rope) : nullptr;
  v.rope_pairs = a.rope.dims / 2;
  v.rope_offset = a.rope.offset;
  v.rope_halves = a.rope.pairs == Rope::Pairs::halves ? 1 : 0;
  v.temperature = a.temperature;
  v.temperature_length = a.temperature_length;
  v.temperature_offset = a.temperature_offset;
  v.gated = a.gated ? 1 : 0;
  v.key_is_value = a.key_is_value ? 1 : 0;
  v.stores = a.stores ? 1 : 0;
  return v;
}

void Lowering::attend(const Step& step) {
  const Attention& a = step.attention;
  const int size = attend_size(a.key_dim, a.value_dim);
  const int sequences = std::min(layout_.limits().batch.sequences, bucket_.rows);
  AttendParams p{};
  p.attention = attention_view(a);
  p.cache = layout_.cache_of(a.cache);
  p.batch = layout_.batch();
  p.x = layout_.slot(step.x);
  p.x_stride = layout_.width(step.x);
  p.queries = layout_.queries();
  p.out = layout_.slot(step.out);
  p.out_stride = layout_.width(step.out);
  p.partials = layout_.partials();
  p.arrived = layout_.arrived();
  p.max_chunks = layout_.max_chunks();
  p.one_row_each = bucket_.one_row_each() ? 1 : 0;
  p.group = a.heads / a.kv_heads;
  const auto split_heads = [&p](int most) {
    p.head_splits = static_cast<std::int32_t>(divided(p.group, most));
    p.heads_a_block = static_cast<std::int32_t>(divided(p.group, p.head_splits));
  };
  if (bucket_.several) {
    split_heads(attend_heads(size));
    p.rows_a_block = attend_queries(size) / p.heads_a_block;
    PrepareParams prepare{};
    prepare.attention = p.attention;
    prepare.kv = static_cast<KvKind>(layout_.limits().kv);
    prepare.cache = p.cache;
    prepare.batch = p.batch;
    prepare.x = p.x;
    prepare.x_stride = p.x_stride;
    prepare.queries = layout_.queries();
    add("rf_attend_prepare", prepare, divided(a.heads + 2 * a.kv_heads, 4), bucket_.rows);
    add(kernel_of("attend", layout_.limits().kv, size), p, a.kv_heads * p.head_splits,
        divided(bucket_.rows, p.rows_a_block), sequences);
  }
  if (!bucket_.single) return;
  split_heads(attend_row_heads);
  // Enough blocks to fill the device, though never so many that most find nothing.
  const int others = a.kv_heads * p.head_splits * sequences;
  p.splits = std::clamp(2 * device_.processors / std::max(others, 1), 1, p.max_chunks);
  if (bucket_.rows == 1 && a.value_dim % 32 == 0) {
    p.packed = layout_.packed(std::int64_t{a.heads} * a.value_dim, true, false);
    packed_ = step.out;
  }
  add(kernel_of("attend_row", layout_.limits().kv, attend_row_size(a.key_dim, a.value_dim)), p,
      a.kv_heads * p.head_splits, p.splits, sequences);
}

}  // namespace rf::gpu
