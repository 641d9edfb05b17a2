// IQ2_S: 256 elements in 16 groups, points of a grid of 1024 in eight dimensions, four bits a scale.
#pragma once
#include "tensor/formats/iq2_xxs.h"

namespace rf {

struct IQ2_S {
  static constexpr std::uint32_t id = 22;
  static constexpr int elements = 256, group = 16, zero = Iq2Values::zero, top = Iq2Values::top;
  static constexpr bool has_min = false, sub_scales = true;
  static constexpr float step = Iq2Values::step;
  struct Block {
    std::uint16_t d;
    std::uint8_t qs[32];     // low bytes of the points
    std::uint8_t signs[32];  // bit k of byte e: minus for element 8 e + k
    std::uint8_t qh[8];      // byte s, bits 2 l: the upper two bits of point 4 s + l
    std::uint8_t scales[8];  // byte s, nibble h: elements 32 s + 16 h on
  };
  static_assert(sizeof(Block) == 82);
  static constexpr Field fields[] = {{0, 2, 2}, {74, 8, 1}, {2, 32, 4}, {34, 32, 4}, {66, 8, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d) * step;
    for (int e = 0; e < 32; ++e) {
      const int point = b.qs[e] | (b.qh[e >> 2] >> 2 * (e & 3) & 3) << 8;
      const float scale = d * static_cast<float>(2 * (b.scales[e >> 2] >> 4 * (e >> 1 & 1) & 15) + 1);
      for (int j = 0; j < 8; ++j) y[8 * e + j] = scale * Iq2Values::value(iq2_s_points[point], b.signs[e], j);
    }
  }

  static void arrange(Block& b) {
    for (int s = 0; s < 8; ++s) to_planes(b.signs + 4 * s);
  }
  static void restore(Block& b) {
    for (int s = 0; s < 8; ++s) from_planes(b.signs + 4 * s);
  }

  static constexpr auto grid = grid_words<std::uint64_t>(iq2_s_points);
  using Spread = SpreadIq2<id, group>;
  static void spread(const Block& b, Spread::Block& out) {
    out.d = b.d;
    for (int g = 0; g < 16; ++g) out.scales[g] = static_cast<std::uint8_t>(OddScales::scale(b.scales, g));
    for (int e = 0; e < 32; ++e) {
      const int point = b.qs[e] | (b.qh[e >> 2] >> 2 * (e & 3) & 3) << 8;
      for (int j = 0; j < 8; ++j)
        Spread::put(out, 8 * e + j, iq2_s_points[point] >> 2 * j & 3, b.signs[e] >> j & 1);
    }
  }

  template <class V>
  static void codes_of_32(const auto& t, int s, V (&out)[8]) {
    const V low = V::load(t.field[2] + 64 * s);
    const V high = V::load(t.field[4] + 64 * (s >> 2)).word_bits(8 * (s & 3), 255);
    V index[4];
    for (int l = 0; l < 4; ++l) index[l] = low.word_bits(8 * l, 255) | high.word_bits(2 * l - 8, 0x300);
    Iq2Values::look_up(grid, index, V::load(t.field[3] + 64 * s), plane_of_quad, out);
  }
  template <class B>
  static B scale_codes(const auto& t, int g) {
    return OddScales::codes<B>(t.field[1], g);
  }
};

}  // namespace rf
