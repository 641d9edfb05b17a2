// Q6_K: 256 elements in 16 groups, d * scale * (code - 32), signed 8-bit scales.
#pragma once
#include "tensor/formats/format.h"

namespace rf {

struct Q6_K {
  static constexpr std::uint32_t id = 14;
  static constexpr int elements = 256, group = 16, zero = 32, top = 63;
  static constexpr bool has_min = false, sub_scales = true;
  struct Block {
    std::uint8_t ql[128];  // 64 (s / 4) + 32 (s % 2) + l, nibble s / 2 % 2: element 32 s + l
    std::uint8_t qh[64];   // 32 (s / 4) + l, bits 2 (s % 4)
    std::int8_t scales[16];
    std::uint16_t d;
  };
  static_assert(sizeof(Block) == 210);
  static constexpr Field fields[] = {{208, 2, 2}, {192, 16, 1}, {0, 128, 4}, {128, 64, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d);
    for (int k = 0; k < 256; ++k) {
      const int s = k >> 5, l = k & 31;
      const int low = b.ql[64 * (s >> 2) + 32 * (s & 1) + l] >> 4 * (s >> 1 & 1) & 15;
      const int high = b.qh[32 * (s >> 2) + l] >> 2 * (s & 3) & 3;
      y[k] = d * static_cast<float>(b.scales[k >> 4]) * static_cast<float>((low | high << 4) - 32);
    }
  }

  static constexpr int scale_low = -128, scale_top = 127;
  static void put(Block& b, int k, int code) {
    const int s = k >> 5, l = k & 31;
    put_bits(b.ql[64 * (s >> 2) + 32 * (s & 1) + l], code & 15, 4 * (s >> 1 & 1));
    put_bits(b.qh[32 * (s >> 2) + l], code >> 4, 2 * (s & 3));
  }
  static void put_scale(Block& b, int g, int scale) { b.scales[g] = static_cast<std::int8_t>(scale); }

  template <class V>
  static V codes(const auto& t, int s, int i) {
    return V::load(t.field[2] + 64 * (16 * (s >> 2) + 8 * (s & 1) + i)).bits(4 * (s >> 1 & 1), 15) |
           V::load(t.field[3] + 64 * (8 * (s >> 2) + i)).bits(2 * (s & 3), 3).shl(4);
  }
  template <class B>
  static B scale_codes(const auto& t, int g) {
    return B::load(t.field[1] + 16 * g);
  }
};

}  // namespace rf
