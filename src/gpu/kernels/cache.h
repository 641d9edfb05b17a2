// Pages of a KV cache as kernels read and write them (CacheView in params.h).
#pragma once
#include "gpu/kernels/lane.h"
#include "gpu/kernels/params.h"

namespace rf::gpu {

template <KvKind kv>
inline constexpr int unit_elements = kv == KvKind::f32    ? 4
                                     : kv == KvKind::f16  ? 8
                                     : kv == KvKind::q8_0 ? 16
                                                          : 32;
template <KvKind kv>
inline constexpr bool has_scales = kv == KvKind::q8_0 || kv == KvKind::q4_0;

// Whether attention of a SIZE over such a cache goes through the HalfUnit. Wider heads need more registers
// than there are.
constexpr bool takes_halves(KvKind kv, int size) {
  return kv != KvKind::f32 && size <= 256 && !lane::without_half_unit;
}

// Two f32 as halves, and what these leave of them: together nearly f32's precision.
struct SplitPair {
  std::uint32_t high, low;
};
RF_DEVICE SplitPair split_pair(float a, float b) {
  const std::uint32_t high = lane::pack_halves(a, b);
  return {high, lane::pack_halves(a - lane::half_to_float(static_cast<std::uint16_t>(high)),
                                  b - lane::half_to_float(static_cast<std::uint16_t>(high >> 16)))};
}

// A position's place in the cache of one KV head.
struct Place {
  const std::uint8_t* head;
  int in_page;
};
RF_DEVICE Place place_of(const CacheView& c, const std::int32_t* pages, int position, int kv_head) {
  const int number = c.page_bits >= 0 ? position >> c.page_bits : position / c.page;
  const auto page = static_cast<std::uint64_t>(pages[number]);
  return {c.data + page * c.page_bytes + static_cast<std::uint64_t>(kv_head) * c.head_bytes,
          position - number * c.page};
}

RF_DEVICE const std::uint8_t* key_group(const CacheView& c, const Place& p) {
  return p.head + static_cast<std::uint64_t>(p.in_page / 16) * c.group_bytes;
}
RF_DEVICE const std::uint8_t* key_unit(const CacheView& c, const Place& p, int unit) {
  return key_group(c, p) + 256 * unit + 16 * (p.in_page % 16);
}
RF_DEVICE const std::uint16_t* key_scale(const CacheView& c, const Place& p, int block) {
  return reinterpret_cast<const std::uint16_t*>(key_group(c, p) + c.group_scales) + 16 * block +
         p.in_page % 16;
}
RF_DEVICE const std::uint8_t* value_row(const CacheView& c, const Place& p) {
  return p.head + c.values_at + static_cast<std::uint64_t>(p.in_page) * c.value_bytes;
}
RF_DEVICE const std::uint8_t* value_unit(const CacheView& c, const Place& p, int unit) {
  return c.key_is_value != 0 ? key_unit(c, p, unit) : value_row(c, p) + 16 * unit;
}
RF_DEVICE const std::uint16_t* value_scale(const CacheView& c, const Place& p, int block) {
  return c.key_is_value != 0
             ? key_scale(c, p, block)
             : reinterpret_cast<const std::uint16_t*>(value_row(c, p) + c.value_scales) + block;
}

// The elements of a unit, under the scale of its 32 elements.
template <KvKind kv>
RF_DEVICE void decode_unit(const Four& unit, float scale, float (&out)[unit_elements<kv>]) {
  RF_UNROLL
  for (int i = 0; i < unit_elements<kv>; ++i) {
    if constexpr (kv == KvKind::f32) out[i] = __builtin_bit_cast(float, unit.w[i]);
    if constexpr (kv == KvKind::f16)
      out[i] = lane::half_to_float(static_cast<std::uint16_t>(unit.w[i >> 1] >> 16 * (i & 1)));
    if constexpr (kv == KvKind::q8_0)
      out[i] = static_cast<float>(static_cast<std::int8_t>(unit.w[i >> 2] >> 8 * (i & 3) & 255)) * scale;
    if constexpr (kv == KvKind::q4_0)
      out[i] =
          static_cast<float>(static_cast<int>(unit.w[i >> 2 & 3] >> (8 * (i & 3) + 4 * (i >> 4)) & 15) - 8) *
          scale;
  }
}

// Stores elements [first, first + n) of a vector that has `n` left, as units `step` bytes apart, and the
// scale of 32: one thread's share, 32 elements. Elements past the end are zeros.
RF_DEVICE void store_32(KvKind kv, const float* x, int n, std::uint8_t* to, int step, int units,
                        std::uint16_t* scale) {
  float inverse = 0;
  if (kv == KvKind::q8_0 || kv == KvKind::q4_0) {
    float top = 0, signed_top = 0;
    for (int i = 0; i < n; ++i) {
      const float magnitude = x[i] < 0 ? -x[i] : x[i];
      if (magnitude > top) top = magnitude, signed_top = x[i];
    }
    const float d = kv == KvKind::q8_0 ? top / 127.0f : signed_top / -8.0f;
    *scale = lane::float_to_half(d);
    inverse = (*scale & 0x7fff) != 0 ? 1.0f / d : 0.0f;
  }
  const auto value = [=](int i) { return i < n ? x[i] : 0.0f; };
  const auto code = [=](int i) -> std::uint32_t {
    const float scaled = value(i) * inverse;
    if (kv == KvKind::q8_0)
      return static_cast<std::uint32_t>(static_cast<int>(scaled + (scaled < 0 ? -0.5f : 0.5f))) & 255;
    const int q = static_cast<int>(scaled + 8.5f);
    return static_cast<std::uint32_t>(q > 15 ? 15 : q);
  };
  RF_NO_UNROLL
  for (int u = 0; u < units; ++u) {
    Four four;
    RF_UNROLL
    for (int w = 0; w < 4; ++w) {
      std::uint32_t word = 0;
      if (kv == KvKind::f32) word = __builtin_bit_cast(std::uint32_t, value(4 * u + w));
      if (kv == KvKind::f16)
        word = lane::float_to_half(value(8 * u + 2 * w)) |
               static_cast<std::uint32_t>(lane::float_to_half(value(8 * u + 2 * w + 1))) << 16;
      for (int j = 0; j < 4; ++j) {
        if (kv == KvKind::q8_0) word |= code(16 * u + 4 * w + j) << 8 * j;
        if (kv == KvKind::q4_0) word |= (code(4 * w + j) | code(4 * w + j + 16) << 4) << 8 * j;
      }
      four.w[w] = word;
    }
    *reinterpret_cast<Four*>(to + static_cast<std::int64_t>(u) * step) = four;
  }
}

}  // namespace rf::gpu
