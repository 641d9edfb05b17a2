// What IQ3 formats share where they are spread.
#pragma once
#include "tensor/formats/spread.h"

namespace rf {

// The spread layout of an IQ3 format: the number of a magnitude, plus 8 for a minus; 16 bytes for 32
// elements, those of the low nibbles first. Values has the format's number, its zero and top, signed_codes,
// and step where there is one.
template <class Values>
struct SpreadIq3 : Values {
  static constexpr std::uint32_t id = spread_id(Values::number);
  static constexpr int elements = 256, group = 32;
  static constexpr bool has_min = false, sub_scales = true;
  struct Block {
    std::uint16_t d;
    std::uint8_t scales[4];
    std::uint8_t qs[128];
  };
  static_assert(sizeof(Block) == 134);
  static constexpr Field fields[] = {{0, 2, 2}, {2, 4, 1}, {6, 128, 4}};

  static constexpr int byte_of(int k) { return 16 * (k >> 5) + (k & 15); }
  static void put(Block& b, int k, int magnitude, bool minus) {
    put_bits(b.qs[byte_of(k)], magnitude | (minus ? 8 : 0), 4 * (k >> 4 & 1));
  }
  static void decode(const Block& b, float* y) {
    float d = f16_to_f32(b.d);
    if constexpr (requires { Values::step; }) d *= Values::step;
    for (int k = 0; k < 256; ++k) {
      const float scale = d * static_cast<float>(OddScales::scale(b.scales, k >> 5));
      const int code = b.qs[byte_of(k)] >> 4 * (k >> 4 & 1) & 15;
      y[k] = scale * static_cast<float>(Values::signed_codes[code] - Values::zero);
    }
  }

  template <class V>
  static V codes(const auto& t, int s, int i) {
    return V::load(t.field[2] + 64 * (4 * s + (i & 3)))
        .bits(4 * (i >> 2), 15)
        .lookup(V::sixteen(Values::signed_codes));
  }
  template <class B>
  static B scale_codes(const auto& t, int g) {
    return OddScales::codes<B>(t.field[1], g);
  }
};

}  // namespace rf
