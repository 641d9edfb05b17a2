// IQ2_XS: 256 elements in 16 groups, points of a grid of 512 in eight dimensions, four bits a scale.
#pragma once
#include "tensor/formats/iq2_xxs.h"

namespace rf {

struct IQ2_XS {
  static constexpr std::uint32_t id = 17;
  static constexpr int elements = 256, group = 16, zero = Iq2Values::zero, top = Iq2Values::top;
  static constexpr bool has_min = false, sub_scales = true;
  static constexpr float step = Iq2Values::step;
  struct Block {
    std::uint16_t d;
    std::uint8_t qs[64];     // two bytes for eight elements: nine bits of a point, then seven signs
    std::uint8_t scales[8];  // byte s, nibble h: elements 32 s + 16 h on
  };
  static_assert(sizeof(Block) == 74);
  static constexpr Field fields[] = {{0, 2, 2}, {66, 8, 1}, {2, 64, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d) * step;
    for (int e = 0; e < 32; ++e) {
      const int bits = b.qs[2 * e] | b.qs[2 * e + 1] << 8;
      const float scale = d * static_cast<float>(2 * (b.scales[e >> 2] >> 4 * (e >> 1 & 1) & 15) + 1);
      const unsigned signs = EvenSigns::of_eight(static_cast<std::uint32_t>(bits >> 9), 0);
      for (int j = 0; j < 8; ++j)
        y[8 * e + j] = scale * Iq2Values::value(iq2_xs_points[bits & 511], signs, j);
    }
  }

  // In a tile the eight bytes of 32 elements are the points' low bytes, then a word of signs whose bit 28 + l
  // is the ninth bit of point l.
  static void arrange(Block& b) {
    for (std::uint8_t* q = b.qs; q < b.qs + 64; q += 8) {
      std::uint32_t word = 0;
      for (int l = 0; l < 4; ++l)
        word |= static_cast<std::uint32_t>(q[2 * l + 1] >> 1) << 7 * l | (q[2 * l + 1] & 1u) << (28 + l);
      for (int l = 1; l < 4; ++l) q[l] = q[2 * l];
      EvenSigns::set_word(q + 4, word);
      EvenSigns::arrange(q + 4);
    }
  }
  static void restore(Block& b) {
    for (std::uint8_t* q = b.qs; q < b.qs + 64; q += 8) {
      EvenSigns::restore(q + 4);
      const std::uint32_t word = EvenSigns::word(q + 4);
      for (int l = 3; l >= 0; --l) {
        q[2 * l] = q[l];
        q[2 * l + 1] = static_cast<std::uint8_t>((word >> 7 * l & 127) << 1 | (word >> (28 + l) & 1));
      }
    }
  }

  static constexpr auto grid = grid_words<std::uint64_t>(iq2_xs_points);
  using Spread = SpreadIq2<id, group>;
  static void spread(const Block& b, Spread::Block& out) {
    out.d = b.d;
    for (int g = 0; g < 16; ++g) out.scales[g] = static_cast<std::uint8_t>(OddScales::scale(b.scales, g));
    for (int e = 0; e < 32; ++e) {
      const int bits = b.qs[2 * e] | b.qs[2 * e + 1] << 8;
      const unsigned signs = EvenSigns::of_eight(static_cast<std::uint32_t>(bits >> 9), 0);
      for (int j = 0; j < 8; ++j)
        Spread::put(out, 8 * e + j, iq2_xs_points[bits & 511] >> 2 * j & 3, signs >> j & 1);
    }
  }

  template <class V>
  static void codes_of_32(const auto& t, int s, V (&out)[8]) {
    const V low = V::load(t.field[2] + 128 * s), word = V::load(t.field[2] + 128 * s + 64);
    V index[4];
    for (int l = 0; l < 4; ++l) index[l] = low.word_bits(8 * l, 255) | word.word_bits(20 + l, 0x100);
    Iq2Values::look_up(grid, index, EvenSigns::complete(word), EvenSigns::plane, out);
  }
  template <class B>
  static B scale_codes(const auto& t, int g) {
    return OddScales::codes<B>(t.field[1], g);
  }
};

}  // namespace rf
