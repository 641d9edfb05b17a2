// How the CPU keeps caches in memory.
#pragma once
#include <cstddef>
#include <cstdint>

#include "ops/backend.h"

namespace rf {

// One layer's cache: pages of `page` positions; in a page, for each KV head, K then V.
// K lies transposed in groups of 16 positions, [key_dim][16], so that 16 positions are the lanes of a vector.
// V lies position by position, its row padded to a multiple of 16 elements.
// Quantised types keep one f16 scale for 32 elements of a head, after the group's (K) or the row's (V) codes.
// q4_0: of each 32 elements, byte j holds element j in its low nibble and j + 16 in its high one, plus 8.
struct CacheLayout {
  KvType type = KvType::f16;
  int kv_heads = 0, key_dim = 0, value_dim = 0, page = 0;
  bool key_is_value = false;  // no V: values are the first value_dim rows of K
  int value_padded = 0;
  std::size_t group_bytes = 0, group_scales = 0;  // of a K group; offset of its scales [key blocks][16]
  std::size_t value_bytes = 0, value_scales = 0;  // of a V row; offset of its scales [value blocks]
  std::size_t values_at = 0;                      // V's offset in a head
  std::size_t head_bytes = 0, page_bytes = 0;

  CacheLayout() = default;
  CacheLayout(const Cache& cache, KvType type, int page_tokens);
};

// Copies what position `at` of a page's head holds to position `to_at` of another's, which may be longer.
void copy_position(const CacheLayout& layout, const std::byte* head, int at, const CacheLayout& to_layout,
                   std::byte* to_head, int to_at);

}  // namespace rf
