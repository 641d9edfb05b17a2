// IQ4_XS: 256 elements in 8 groups, d * (scale - 32) times one of 16 values, six bits a scale.
#pragma once
#include "tensor/formats/iq4_nl.h"

namespace rf {

struct IQ4_XS {
  static constexpr std::uint32_t id = 23;
  static constexpr int elements = 256, group = 32, zero = Iq4Values::zero, top = Iq4Values::top;
  static constexpr bool has_min = false, sub_scales = true;
  struct Block {
    std::uint16_t d;
    std::uint8_t scales_high[2];  // byte s / 4, bits 2 (s % 4): the upper two bits of group s
    std::uint8_t scales_low[4];   // byte s / 2, nibble s % 2
    std::uint8_t qs[128];         // of group s: byte 16 s + i holds elements i (low nibble) and i + 16 (high)
  };
  static_assert(sizeof(Block) == 136);
  static constexpr Field fields[] = {{0, 2, 2}, {2, 2, 1}, {4, 4, 1}, {8, 128, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d);
    for (int s = 0; s < 8; ++s) {
      const int low = b.scales_low[s >> 1] >> 4 * (s & 1) & 15,
                high = b.scales_high[s >> 2] >> 2 * (s & 3) & 3;
      const float scale = d * static_cast<float>((low | high << 4) - 32);
      for (int i = 0; i < 32; ++i)
        y[32 * s + i] =
            scale * static_cast<float>(Iq4Values::values[b.qs[16 * s + (i & 15)] >> 4 * (i >> 4) & 15]);
    }
  }

  static constexpr int scale_low = -32, scale_top = 31;
  static void put(Block& b, int k, int code) {
    put_bits(b.qs[16 * (k >> 5) + (k & 15)], code, 4 * (k >> 4 & 1));
  }
  static void put_scale(Block& b, int g, int scale) {
    put_bits(b.scales_low[g >> 1], (scale + 32) & 15, 4 * (g & 1));
    put_bits(b.scales_high[g >> 2], (scale + 32) >> 4, 2 * (g & 3));
  }

  template <class V>
  static V codes(const auto& t, int s, int i) {
    return V::load(t.field[3] + 64 * (4 * s + (i & 3)))
        .bits(4 * (i >> 2), 15)
        .lookup(V::sixteen(Iq4Values::codes));
  }
  template <class B>
  static B scale_codes(const auto& t, int g) {
    const B low = B::load(t.field[2] + 16 * (g >> 1)).bits(4 * (g & 1), 15);
    const B high = B::load(t.field[1] + 16 * (g >> 2)).bits(2 * (g & 3), 3);
    return (low | high.shl(4)).minus(32);
  }
};

}  // namespace rf
