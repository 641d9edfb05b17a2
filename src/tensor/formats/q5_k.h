// Q5_K: 256 elements in 8 groups, d * scale * code - dmin * min, five bits a code.
#pragma once
#include "tensor/formats/q4_k.h"

namespace rf {

struct Q5_K {
  static constexpr std::uint32_t id = 13;
  static constexpr int elements = 256, group = 32, zero = 0, top = 31;
  static constexpr bool has_min = true, sub_scales = true;
  static constexpr float min_sign = -1;
  struct Block {
    std::uint16_t d, dmin;
    std::uint8_t scales[12];
    std::uint8_t qh[32];   // byte l, bit s: fifth bit of element 32 s + l
    std::uint8_t qs[128];  // 32 (s / 2) + l, nibble s % 2: element 32 s + l
  };
  static_assert(sizeof(Block) == 176);
  static constexpr Field fields[] = {{0, 4, 2}, {4, 12, 1}, {16, 32, 4}, {48, 128, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d), dmin = f16_to_f32(b.dmin);
    for (int s = 0; s < 8; ++s) {
      const float scale = d * static_cast<float>(SixBitScales::scale(b.scales, s));
      const float min = dmin * static_cast<float>(SixBitScales::min(b.scales, s));
      for (int l = 0; l < 32; ++l) {
        const int code = (b.qs[32 * (s >> 1) + l] >> 4 * (s & 1) & 15) | (b.qh[l] >> s & 1) << 4;
        y[32 * s + l] = scale * static_cast<float>(code) - min;
      }
    }
  }

  static constexpr int scale_top = 63;
  static void put(Block& b, int k, int code) {
    put_bits(b.qs[32 * (k >> 6) + (k & 31)], code & 15, 4 * (k >> 5 & 1));
    put_bits(b.qh[k & 31], code >> 4, k >> 5);
  }
  static void put_scales(Block& b, int g, int scale, int min) { SixBitScales::put(b.scales, g, scale, min); }

  template <class V>
  static V codes(const auto& t, int s, int i) {
    return V::load(t.field[3] + 64 * (8 * (s >> 1) + i)).bits(4 * (s & 1), 15) |
           V::load(t.field[2] + 64 * i).moved_bit(s, 4);
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
