// IQ1_S: 256 elements in 8 groups, d * scale * (coordinate +- 1/8), points of a grid of 2048, three bits a
// scale.
#pragma once
#include "tensor/formats/format.h"
#include "tensor/formats/grid.h"
#include "tensor/formats/iq1_grid.h"
#include "tensor/formats/spread.h"

namespace rf {

struct Iq1Grid {
  static constexpr auto words = grid_words<std::uint64_t>(iq1_points);
  // By an IQ1_S scale's three bits and the minus above them: odd numbers.
  alignas(16) static constexpr std::uint8_t signed_scales[16] = {1,   3,   5,   7,   9,   11,  13,  15,
                                                                 255, 253, 251, 249, 247, 245, 243, 241};
  static int coordinate(int point, int j) { return (iq1_points[point] >> 2 * j & 3) - 1; }
};

// The spread layout of IQ1_S: coordinates; for every group a byte, its scale with the sign of the 1/8.
struct SpreadIq1S {
  static constexpr std::uint32_t id = spread_id(19);
  static constexpr int elements = 256, group = 32, zero = 1, top = 2;
  static constexpr bool has_min = true, sub_scales = true;
  static constexpr float min_sign = 1, min_step = 0.125f;
  struct Block {
    std::uint16_t d;
    std::int8_t scales[8];
    std::uint8_t qs[64];
  };
  static_assert(sizeof(Block) == 74);
  static constexpr Field fields[] = {{0, 2, 2}, {2, 8, 1}, {10, 64, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d);
    for (int k = 0; k < 256; ++k) {
      const int scale = b.scales[k >> 5];
      const float coordinate = static_cast<float>(TwoBits::get(b.qs, k) - 1);
      y[k] = d * static_cast<float>(scale < 0 ? -scale : scale) *
             (coordinate + (scale < 0 ? -min_step : min_step));
    }
  }

  template <class V>
  static V codes(const auto& t, int s, int i) {
    return V::load(t.field[2] + 64 * (2 * s + (i >> 2))).bits(TwoBits::shift(i), 3);
  }
  template <class B>
  static B signed_scale_codes(const auto& t, int g) {
    return B::load(t.field[1] + 16 * g);
  }
};

struct IQ1_S {
  static constexpr std::uint32_t id = 19;
  static constexpr int elements = 256, group = 32, zero = 1, top = 2;
  static constexpr bool has_min = true, sub_scales = true;
  static constexpr float min_sign = 1, min_step = 0.125f;
  struct Block {
    std::uint16_t d;
    std::uint8_t qs[32];  // low bytes of the points
    std::uint8_t qh[16];  // of group s 16 bits: the upper three of four points, the scale, a minus before 1/8
  };
  static_assert(sizeof(Block) == 50);
  static constexpr Field fields[] = {{0, 2, 2}, {2, 32, 4}, {34, 16, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d);
    for (int s = 0; s < 8; ++s) {
      const int high = b.qh[2 * s] | b.qh[2 * s + 1] << 8;
      const float scale = d * static_cast<float>(2 * (high >> 12 & 7) + 1);
      const float delta = high >> 15 != 0 ? -min_step : min_step;
      for (int k = 0; k < 32; ++k) {
        const int point = b.qs[4 * s + (k >> 3)] | (high >> 3 * (k >> 3) & 7) << 8;
        y[32 * s + k] = scale * (static_cast<float>(Iq1Grid::coordinate(point, k & 7)) + delta);
      }
    }
  }

  using Spread = SpreadIq1S;
  static void spread(const Block& b, Spread::Block& out) {
    out.d = b.d;
    for (int s = 0; s < 8; ++s) {
      const int high = b.qh[2 * s] | b.qh[2 * s + 1] << 8;
      out.scales[s] = static_cast<std::int8_t>(Iq1Grid::signed_scales[high >> 12]);
      for (int k = 0; k < 32; ++k) {
        const int point = b.qs[4 * s + (k >> 3)] | (high >> 3 * (k >> 3) & 7) << 8;
        TwoBits::put(out.qs, 32 * s + k, Iq1Grid::coordinate(point, k & 7) + 1);
      }
    }
  }

  template <class V>
  static void codes_of_32(const auto& t, int s, V (&out)[8]) {
    const V low = V::load(t.field[1] + 64 * s);
    const V high = V::load(t.field[2] + 64 * (s >> 1)).word_bits(16 * (s & 1), 0xffff);
    V index[4];
    for (int l = 0; l < 4; ++l) index[l] = low.word_bits(8 * l, 255) | high.word_bits(3 * l - 8, 0x700);
    V::eights(Iq1Grid::words.word, index, out);
  }
  template <class B>
  static B scale_codes(const auto& t, int g) {
    return B::of_words(t.field[2] + 64 * (g >> 1), 16 * (g & 1) + 12, 7).shl(1).minus(-1);
  }
  template <class B>
  static B min_codes(const auto& t, int g) {
    return B::of_words(t.field[2] + 64 * (g >> 1), 16 * (g & 1) + 12, 15).lookup(Iq1Grid::signed_scales);
  }
};

}  // namespace rf
