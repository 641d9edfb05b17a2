// IQ2_XXS: 256 elements in 8 groups, points of a grid of 256 in eight dimensions, four bits a scale.
#pragma once
#include "tensor/formats/bit_planes.h"
#include "tensor/formats/format.h"
#include "tensor/formats/grid.h"
#include "tensor/formats/iq2_grid.h"
#include "tensor/formats/spread.h"

namespace rf {

// Magnitudes 8, 25 and 43. A code for the table of signed values is a magnitude's number, plus 8 for a minus.
struct Iq2Values {
  static constexpr std::uint8_t magnitudes[4] = {8, 25, 43, 0};
  static constexpr int zero = 43, top = 86;
  static constexpr float step = 0.125f;  // scales are odd eighths
  alignas(16) static constexpr std::uint8_t codes[16] = {51, 68, 86, 43, 0, 0, 0, 0,
                                                         35, 18, 0,  43, 0, 0, 0, 0};

  static float value(std::uint16_t point, unsigned signs, int j) {
    const float magnitude = magnitudes[point >> 2 * j & 3];
    return signs >> j & 1 ? -magnitude : magnitude;
  }
  // The codes of 32 elements: four points under the signs of quad i in bit plane(i).
  template <class V, int n>
  static void look_up(const GridWords<std::uint64_t, n>& grid, const V (&index)[4], V signs,
                      int (*plane)(int), V (&out)[8]) {
    V::eights(grid.word, index, out);
    const auto table = V::sixteen(codes);
    for (int i = 0; i < 8; ++i) out[i] = (out[i] | signs.moved_bit(plane(i), 3)).lookup(table);
  }
};

// The spread layout of an IQ2 format: the number of a magnitude, plus 4 for a minus; scales, which are odd, a
// byte each.
template <std::uint32_t file_id, int group_>
struct SpreadIq2 {
  static constexpr std::uint32_t id = spread_id(file_id);
  static constexpr int elements = 256, group = group_, zero = Iq2Values::zero, top = Iq2Values::top;
  static constexpr bool has_min = false, sub_scales = true;
  static constexpr float step = Iq2Values::step;
  struct Block {
    std::uint16_t d;
    std::uint8_t scales[256 / group];
    std::uint8_t qs[96];
  };
  static_assert(sizeof(Block) == 98 + 256 / group);
  static constexpr Field fields[] = {{0, 2, 2}, {2, 256 / group, 1}, {2 + 256 / group, 96, 4}};
  static constexpr std::uint8_t values[8] = {51, 68, 86, 43, 35, 18, 0, 43};
  static constexpr ThreeBits::Tables tables{values};

  static void put(Block& b, int k, int magnitude, bool minus) {
    ThreeBits::put(b.qs, k, magnitude | (minus ? 4 : 0));
  }
  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d) * step;
    for (int k = 0; k < 256; ++k) {
      const float scale = d * static_cast<float>(b.scales[k / group]);
      y[k] = scale * static_cast<float>(values[ThreeBits::get(b.qs, k)] - zero);
    }
  }

  template <class V>
  static V codes(const auto& t, int s, int i) {
    return ThreeBits::values<V>(t.field[2] + 192 * s, i, tables);
  }
  template <class B>
  static B scale_codes(const auto& t, int g) {
    return B::load(t.field[1] + 16 * g);
  }
};

struct IQ2_XXS {
  static constexpr std::uint32_t id = 16;
  static constexpr int elements = 256, group = 32, zero = Iq2Values::zero, top = Iq2Values::top;
  static constexpr bool has_min = false, sub_scales = true;
  static constexpr float step = Iq2Values::step;
  struct Block {
    std::uint16_t d;
    std::uint8_t qs[64];  // of group s: four points, then a word of 4 * 7 signs and, at bit 28, the scale
  };
  static_assert(sizeof(Block) == 66);
  static constexpr Field fields[] = {{0, 2, 2}, {2, 64, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d) * step;
    for (int s = 0; s < 8; ++s) {
      const std::uint32_t word = EvenSigns::word(b.qs + 8 * s + 4);
      const float scale = d * static_cast<float>(2 * (word >> 28) + 1);
      for (int k = 0; k < 32; ++k) {
        const unsigned signs = EvenSigns::of_eight(word, k >> 3);
        y[32 * s + k] = scale * Iq2Values::value(iq2_xxs_points[b.qs[8 * s + (k >> 3)]], signs, k & 7);
      }
    }
  }

  static void arrange(Block& b) {
    for (int s = 0; s < 8; ++s) EvenSigns::arrange(b.qs + 8 * s + 4);
  }
  static void restore(Block& b) {
    for (int s = 0; s < 8; ++s) EvenSigns::restore(b.qs + 8 * s + 4);
  }

  static constexpr auto grid = grid_words<std::uint64_t>(iq2_xxs_points);
  using Spread = SpreadIq2<id, group>;
  static void spread(const Block& b, Spread::Block& out) {
    out.d = b.d;
    for (int s = 0; s < 8; ++s) {
      const std::uint32_t word = EvenSigns::word(b.qs + 8 * s + 4);
      out.scales[s] = static_cast<std::uint8_t>(2 * (word >> 28) + 1);
      for (int k = 0; k < 32; ++k)
        Spread::put(out, 32 * s + k, iq2_xxs_points[b.qs[8 * s + (k >> 3)]] >> 2 * (k & 7) & 3,
                    EvenSigns::of_eight(word, k >> 3) >> (k & 7) & 1);
    }
  }

  template <class V>
  static void codes_of_32(const auto& t, int s, V (&out)[8]) {
    const V low = V::load(t.field[1] + 128 * s), word = V::load(t.field[1] + 128 * s + 64);
    V index[4];
    for (int l = 0; l < 4; ++l) index[l] = low.word_bits(8 * l, 255);
    Iq2Values::look_up(grid, index, EvenSigns::complete(word), EvenSigns::plane, out);
  }
  template <class B>
  static B scale_codes(const auto& t, int g) {
    return B::of_words(t.field[1] + 128 * g + 64, 28, 15).shl(1).minus(-1);
  }
};

}  // namespace rf
