#include "cpu/layout.h"

#include <cstring>

namespace rf {
namespace {

std::size_t round_up(std::size_t n, std::size_t unit) {
  return (n + unit - 1) / unit * unit;
}

// One of 16 lanes of `count` groups of elements.
template <class Element>
void copy_lane(const std::byte* from, int lane, std::byte* to, int to_lane, int count) {
  const Element* element = reinterpret_cast<const Element*>(from) + lane;
  Element* to_element = reinterpret_cast<Element*>(to) + to_lane;
  for (int i = 0; i < count; ++i) to_element[16 * i] = element[16 * i];
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

void copy_position(const CacheLayout& layout, const std::byte* head, int at, const CacheLayout& to_layout,
                   std::byte* to_head, int to_at) {
  const std::byte* group = head + static_cast<std::size_t>(at / 16) * layout.group_bytes;
  std::byte* to_group = to_head + static_cast<std::size_t>(to_at / 16) * layout.group_bytes;
  const int lane = at % 16, to_lane = to_at % 16, blocks = (layout.key_dim + 31) / 32;
  if (layout.type == KvType::f32) copy_lane<std::uint32_t>(group, lane, to_group, to_lane, layout.key_dim);
  if (layout.type == KvType::f16) copy_lane<std::uint16_t>(group, lane, to_group, to_lane, layout.key_dim);
  if (layout.type == KvType::q8_0) copy_lane<std::uint8_t>(group, lane, to_group, to_lane, layout.key_dim);
  if (layout.type == KvType::q4_0) copy_lane<std::uint8_t>(group, lane, to_group, to_lane, 16 * blocks);
  if (layout.type == KvType::q8_0 || layout.type == KvType::q4_0)
    copy_lane<std::uint16_t>(group + layout.group_scales, lane, to_group + layout.group_scales, to_lane,
                             blocks);
  if (layout.value_bytes > 0)
    std::memcpy(to_head + to_layout.values_at + static_cast<std::size_t>(to_at) * layout.value_bytes,
                head + layout.values_at + static_cast<std::size_t>(at) * layout.value_bytes,
                layout.value_bytes);
}

}  // namespace rf
