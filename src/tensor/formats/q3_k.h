// Q3_K: 256 elements in 16 groups, d * (scale - 32) * (code - 4).
#pragma once
#include "tensor/formats/format.h"

namespace rf {

struct Q3_K {
  static constexpr std::uint32_t id = 11;
  static constexpr int elements = 256, group = 16, zero = 4, top = 7;
  static constexpr bool has_min = false, sub_scales = true;
  struct Block {
    std::uint8_t hmask[32];   // byte l, bit s: third bit of element 32 s + l
    std::uint8_t qs[64];      // 32 (s / 4) + l, bits 2 (s % 4): element 32 s + l
    std::uint8_t scales[12];  // low nibbles in bytes 0..7 (groups g and g + 8), two high bits in bytes 8..11
    std::uint16_t d;
  };
  static_assert(sizeof(Block) == 110);
  static constexpr Field fields[] = {{108, 2, 2}, {96, 12, 1}, {32, 64, 4}, {0, 32, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d);
    for (int k = 0; k < 256; ++k) {
      const int s = k >> 5, g = k >> 4;
      const int low = b.scales[g & 7] >> 4 * (g >> 3) & 15, high = b.scales[8 + (g & 3)] >> 2 * (g >> 2) & 3;
      const int code = (b.qs[32 * (s >> 2) + (k & 31)] >> 2 * (s & 3) & 3) | (b.hmask[k & 31] >> s & 1) << 2;
      y[k] = d * static_cast<float>((low | high << 4) - 32) * static_cast<float>(code - 4);
    }
  }

  static constexpr int scale_low = -32, scale_top = 31;
  static void put(Block& b, int k, int code) {
    put_bits(b.qs[32 * (k >> 7) + (k & 31)], code & 3, 2 * (k >> 5 & 3));
    put_bits(b.hmask[k & 31], code >> 2, k >> 5);
  }
  static void put_scale(Block& b, int g, int scale) {
    put_bits(b.scales[g & 7], (scale + 32) & 15, 4 * (g >> 3));
    put_bits(b.scales[8 + (g & 3)], (scale + 32) >> 4, 2 * (g >> 2));
  }

  template <class V>
  static V codes(const auto& t, int s, int i) {
    return V::load(t.field[2] + 64 * (8 * (s >> 2) + i)).bits(2 * (s & 3), 3) |
           V::load(t.field[3] + 64 * i).moved_bit(s, 2);
  }
  template <class B>
  static B scale_codes(const auto& t, int g) {
    const B low = B::load(t.field[1] + 16 * (g & 7)).bits(4 * (g >> 3), 15);
    const B high = B::load(t.field[1] + 16 * (8 + (g & 3))).bits(2 * (g >> 2), 3);
    return (low | high.shl(4)).minus(32);
  }
};

}  // namespace rf
