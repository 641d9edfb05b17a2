// Q4_K: 256 elements in 8 groups, d * scale * code - dmin * min, six bits a scale and a min.
#pragma once
#include "tensor/formats/format.h"

namespace rf {

// The 12 bytes that Q4_K and Q5_K pack eight 6-bit scales and mins into: groups 0..3 lie in the low six bits
// of bytes g (scale) and g + 4 (min); groups 4..7 have low nibbles in byte g + 4 and their high bits atop
// bytes g - 4 and g.
struct SixBitScales {
  static int scale(const std::uint8_t* q, int g) {
    return g < 4 ? q[g] & 63 : (q[g + 4] & 15) | (q[g - 4] >> 6) << 4;
  }
  static int min(const std::uint8_t* q, int g) {
    return g < 4 ? q[g + 4] & 63 : (q[g + 4] >> 4) | (q[g] >> 6) << 4;
  }
  static void put(std::uint8_t* q, int g, int scale, int min) {
    if (g < 4) {
      put_bits(q[g], scale, 0);
      put_bits(q[g + 4], min, 0);
    } else {
      put_bits(q[g + 4], (scale & 15) | (min & 15) << 4, 0);
      put_bits(q[g - 4], scale >> 4, 6);
      put_bits(q[g], min >> 4, 6);
    }
  }
  // Without branches, since lanes of a GPU have different groups at once.
  template <class B>
  static B scales(const auto& field, int g) {
    const bool low = g < 4;
    return B::load(field + 16 * (low ? g : g + 4)).bits(0, low ? 63 : 15) |
           B::load(field + 16 * (g & 3)).bits(6, low ? 0 : 3).shl(4);
  }
  template <class B>
  static B mins(const auto& field, int g) {
    const bool low = g < 4;
    return B::load(field + 16 * (g + 4)).bits(low ? 0 : 4, low ? 63 : 15) |
           B::load(field + 16 * g).bits(6, low ? 0 : 3).shl(4);
  }
};

struct Q4_K {
  static constexpr std::uint32_t id = 12;
  static constexpr int elements = 256, group = 32, zero = 0, top = 15;
  static constexpr bool has_min = true, sub_scales = true;
  static constexpr float min_sign = -1;
  struct Block {
    std::uint16_t d, dmin;
    std::uint8_t scales[12];
    std::uint8_t qs[128];  // 32 (s / 2) + l, nibble s % 2: element 32 s + l
  };
  static_assert(sizeof(Block) == 144);
  static constexpr Field fields[] = {{0, 4, 2}, {4, 12, 1}, {16, 128, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d), dmin = f16_to_f32(b.dmin);
    for (int s = 0; s < 8; ++s) {
      const float scale = d * static_cast<float>(SixBitScales::scale(b.scales, s));
      const float min = dmin * static_cast<float>(SixBitScales::min(b.scales, s));
      for (int l = 0; l < 32; ++l)
        y[32 * s + l] = scale * static_cast<float>(b.qs[32 * (s >> 1) + l] >> 4 * (s & 1) & 15) - min;
    }
  }

  static constexpr int scale_top = 63;
  static void put(Block& b, int k, int code) {
    put_bits(b.qs[32 * (k >> 6) + (k & 31)], code, 4 * (k >> 5 & 1));
  }
  static void put_scales(Block& b, int g, int scale, int min) { SixBitScales::put(b.scales, g, scale, min); }

  template <class V>
  static V codes(const auto& t, int s, int i) {
    return V::load(t.field[2] + 64 * (8 * (s >> 1) + i)).bits(4 * (s & 1), 15);
  }
  template <class B>
  static B scale_codes(const auto& t, int g) {
    return SixBitScales::scales<B>(t.field[1], g);
  }
  template <class B>
  static B min_codes(const auto& t, int g) {
    return SixBitScales::mins<B>(t.field[1], g);
  }
};

}  // namespace rf
