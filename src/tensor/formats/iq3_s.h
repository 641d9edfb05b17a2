// IQ3_S: 256 elements in 8 groups, points of a grid of 512 in four dimensions, four bits a scale.
#pragma once
#include "tensor/formats/bit_planes.h"
#include "tensor/formats/format.h"
#include "tensor/formats/grid.h"
#include "tensor/formats/iq3_grid.h"
#include "tensor/formats/iq3_spread.h"

namespace rf {

struct Iq3SValues {
  static constexpr std::uint32_t number = 21;
  static constexpr int zero = 15, top = 30;
  // Magnitudes are odd numbers up to 15.
  alignas(16) static constexpr std::uint8_t signed_codes[16] = {16, 18, 20, 22, 24, 26, 28, 30,
                                                                14, 12, 10, 8,  6,  4,  2,  0};
};

struct IQ3_S : Iq3SValues {
  static constexpr std::uint32_t id = number;
  static constexpr int elements = 256, group = 32;
  static constexpr bool has_min = false, sub_scales = true;
  struct Block {
    std::uint16_t d;
    std::uint8_t qs[64];     // low byte of a point for four elements
    std::uint8_t qh[8];      // byte s, bit i: the ninth bit of point 8 s + i
    std::uint8_t signs[32];  // bit k of byte e: minus for element 8 e + k
    std::uint8_t scales[4];  // byte s / 2, nibble s % 2
  };
  static_assert(sizeof(Block) == 110);
  static constexpr Field fields[] = {{0, 2, 2}, {106, 4, 1}, {2, 64, 4}, {66, 8, 4}, {74, 32, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d);
    for (int k = 0; k < 256; ++k) {
      const int s = k >> 5, i = k >> 2;
      const int point = iq3_s_points[b.qs[i] | (b.qh[s] >> (i & 7) & 1) << 8];
      const float scale = d * static_cast<float>(2 * (b.scales[s >> 1] >> 4 * (s & 1) & 15) + 1);
      const auto magnitude = static_cast<float>(2 * (point >> 4 * (k & 3) & 15) + 1);
      y[k] = scale * (b.signs[k >> 3] >> (k & 7) & 1 ? -magnitude : magnitude);
    }
  }

  static void arrange(Block& b) {
    for (int s = 0; s < 8; ++s) to_planes(b.signs + 4 * s);
  }
  static void restore(Block& b) {
    for (int s = 0; s < 8; ++s) from_planes(b.signs + 4 * s);
  }

  static constexpr auto grid = grid_words<std::uint32_t>(iq3_s_points);
  using Spread = SpreadIq3<Iq3SValues>;
  static void spread(const Block& b, Spread::Block& out) {
    out.d = b.d;
    for (int i = 0; i < 4; ++i) out.scales[i] = b.scales[i];
    for (int k = 0; k < 256; ++k) {
      const int i = k >> 2, point = iq3_s_points[b.qs[i] | (b.qh[k >> 5] >> (i & 7) & 1) << 8];
      Spread::put(out, k, point >> 4 * (k & 3) & 15, b.signs[k >> 3] >> (k & 7) & 1);
    }
  }

  template <class V>
  static void codes_of_32(const auto& t, int s, V (&out)[8]) {
    const V high = V::load(t.field[3] + 64 * (s >> 2)).word_bits(8 * (s & 3), 255);
    V index[8];
    for (int i = 0; i < 8; ++i)
      index[i] = V::load(t.field[2] + 64 * (2 * s + (i >> 2))).word_bits(8 * (i & 3), 255) |
                 high.word_bits(i - 8, 0x100);
    V::fours(grid.word, index, out);
    const V signs = V::load(t.field[4] + 64 * s);
    const auto table = V::sixteen(signed_codes);
    for (int i = 0; i < 8; ++i) out[i] = (out[i] | signs.moved_bit(i, 3)).lookup(table);
  }
  template <class B>
  static B scale_codes(const auto& t, int g) {
    return OddScales::codes<B>(t.field[1], g);
  }
};

}  // namespace rf
