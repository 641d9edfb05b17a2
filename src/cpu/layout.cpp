#include "cpu/layout.h"

namespace rf {
namespace {

std::size_t round_up(std::size_t n, std::size_t unit) {
  return (n + unit - 1) / unit * unit;
}

}  // namespace

CacheLayout::CacheLayout(const Cache& cache, KvType kv, int page_tokens)
    : type(kv),
      kv_heads(cache.kv_heads),
      key_dim(cache.key_dim),
      value_dim(cache.value_dim),
      page(page_tokens),
      key_is_value(cache.key_is_value) {
  value_padded = (value_dim + 15) / 16 * 16;
  const auto blocks = [](int n) { return static_cast<std::size_t>((n + 31) / 32); };
  const auto codes = [this, blocks](int n) {
    const auto count = static_cast<std::size_t>(n);
    switch (type) {
      case KvType::f32:
        return 4 * count;
      case KvType::f16:
        return 2 * count;
      case KvType::q8_0:
        return count;
      case KvType::q4_0:
        return 16 * blocks(n);
    }
    return count;
  };
  const bool quantised = type == KvType::q8_0 || type == KvType::q4_0;
  group_scales = 16 * codes(key_dim);
  group_bytes = round_up(group_scales + (quantised ? 32 * blocks(key_dim) : 0), 64);
  if (!key_is_value) {
    value_scales = codes(value_padded);
    value_bytes = round_up(value_scales + (quantised ? 2 * blocks(value_dim) : 0), 16);
  }
  values_at = static_cast<std::size_t>((page + 15) / 16) * group_bytes;
  head_bytes = round_up(values_at + static_cast<std::size_t>(page) * value_bytes, 64);
  page_bytes = static_cast<std::size_t>(kv_heads) * head_bytes;
}

}  // namespace rf
