// IQ3_XXS: 256 elements in 8 groups, points of a grid of 256 in four dimensions, four bits a scale.
#pragma once
#include "tensor/formats/bit_planes.h"
#include "tensor/formats/format.h"
#include "tensor/formats/grid.h"
#include "tensor/formats/iq3_grid.h"
#include "tensor/formats/iq3_spread.h"

namespace rf {

struct Iq3XxsValues {
  static constexpr std::uint32_t number = 18;
  static constexpr int zero = 62, top = 124;
  static constexpr float step = 0.25f;  // scales are odd quarters
  static constexpr std::uint8_t magnitudes[8] = {4, 12, 20, 28, 36, 44, 52, 62};
  alignas(16) static constexpr std::uint8_t signed_codes[16] = {66, 74, 82, 90, 98, 106, 114, 124,
                                                                58, 50, 42, 34, 26, 18,  10,  0};
};

struct IQ3_XXS : Iq3XxsValues {
  static constexpr std::uint32_t id = number;
  static constexpr int elements = 256, group = 32;
  static constexpr bool has_min = false, sub_scales = true;
  struct Block {
    std::uint16_t d;
    std::uint8_t qs[64];     // a point for four elements
    std::uint8_t words[32];  // of group s: a word of 4 * 7 signs and, at bit 28, the scale
  };
  static_assert(sizeof(Block) == 98);
  static constexpr Field fields[] = {{0, 2, 2}, {2, 64, 4}, {66, 32, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d) * step;
    for (int k = 0; k < 256; ++k) {
      const std::uint32_t word = EvenSigns::word(b.words + 4 * (k >> 5));
      const float scale = d * static_cast<float>(2 * (word >> 28) + 1);
      const float magnitude = magnitudes[iq3_xxs_points[b.qs[k >> 2]] >> 4 * (k & 3) & 15];
      y[k] = scale * (EvenSigns::of_eight(word, k >> 3 & 3) >> (k & 7) & 1 ? -magnitude : magnitude);
    }
  }

  static void arrange(Block& b) {
    for (int s = 0; s < 8; ++s) EvenSigns::arrange(b.words + 4 * s);
  }
  static void restore(Block& b) {
    for (int s = 0; s < 8; ++s) EvenSigns::restore(b.words + 4 * s);
  }

  static constexpr auto grid = grid_words<std::uint32_t>(iq3_xxs_points);
  using Spread = SpreadIq3<Iq3XxsValues>;
  static void spread(const Block& b, Spread::Block& out) {
    out.d = b.d;
    for (int s = 0; s < 8; ++s)
      put_bits(out.scales[s >> 1], static_cast<int>(EvenSigns::word(b.words + 4 * s) >> 28), 4 * (s & 1));
    for (int k = 0; k < 256; ++k) {
      const unsigned signs = EvenSigns::of_eight(EvenSigns::word(b.words + 4 * (k >> 5)), k >> 3 & 3);
      Spread::put(out, k, iq3_xxs_points[b.qs[k >> 2]] >> 4 * (k & 3) & 15, signs >> (k & 7) & 1);
    }
  }

  template <class V>
  static void codes_of_32(const auto& t, int s, V (&out)[8]) {
    V index[8];
    for (int i = 0; i < 8; ++i)
      index[i] = V::load(t.field[1] + 64 * (2 * s + (i >> 2))).word_bits(8 * (i & 3), 255);
    V::fours(grid.word, index, out);
    const V signs = EvenSigns::complete(V::load(t.field[2] + 64 * s));
    const auto table = V::sixteen(signed_codes);
    for (int i = 0; i < 8; ++i) out[i] = (out[i] | signs.moved_bit(EvenSigns::plane(i), 3)).lookup(table);
  }
  template <class B>
  static B scale_codes(const auto& t, int g) {
    return B::of_words(t.field[2] + 64 * g, 28, 15).shl(1).minus(-1);
  }
};

}  // namespace rf
