// IQ1_M: as IQ1_S, with 16 scales and a sign of the 1/8 for every point.
#pragma once
#include "tensor/formats/iq1_s.h"

namespace rf {

// The spread layout of IQ1_M: coordinates, a bit for eight of them that is set where 1/8 is added, and
// scales, a byte each.
struct SpreadIq1M {
  static constexpr std::uint32_t id = spread_id(29);
  static constexpr int elements = 256, group = 16, zero = 9, top = 18;
  static constexpr bool has_min = false, sub_scales = true;
  static constexpr float step = 0.125f;
  struct Block {
    std::uint16_t d;
    std::uint8_t scales[16];
    std::uint8_t qs[64];
    std::uint8_t plus[4];  // bit e % 8 of byte e / 8: of elements 8 e and on
  };
  static_assert(sizeof(Block) == 86);
  static constexpr Field fields[] = {{0, 2, 2}, {2, 16, 1}, {18, 64, 4}, {82, 4, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d);
    for (int k = 0; k < 256; ++k) {
      const float delta = b.plus[k >> 6] >> (k >> 3 & 7) & 1 ? step : -step;
      y[k] =
          d * static_cast<float>(b.scales[k >> 4]) * (static_cast<float>(TwoBits::get(b.qs, k) - 1) + delta);
    }
  }

  // In eighths, plus 9: eight times the coordinate, and 2 where 1/8 is added.
  template <class V>
  static V codes(const auto& t, int s, int i) {
    const V eights =
        V::load(t.field[2] + 64 * (2 * s + (i >> 2))).word_bits(TwoBits::shift(i) - 3, 0x18181818);
    return eights | V::load(t.field[3]).if_bit(4 * s + (i >> 1), 0x02020202);
  }
  // The same in parts: what is to be multiplied with a number for each half of a group, the first half's
  // being 2^coarse_lift too small; and, in the low two bits of each row's word, which eights of group g get
  // 1/8 as well. By these bits, what every element of the two eights has besides its coarse code.
  static constexpr int coarse_times = 2, coarse_lift = 2, coarse_top = 8;
  alignas(16) static constexpr std::int16_t eight_codes[8] = {-9, -9, -7, -9, -9, -7, -7, -7};
  template <class V>
  static V coarse_codes(const auto& t, int s, int i) {
    return V::load(t.field[2] + 64 * (2 * s + (i >> 2))).bits(4 * (i & 1), 3 << (i & 2));
  }
  template <class V>
  static V plus_bits(const auto& t, int g) {
    return V::load(t.field[3]).word_bits(2 * g, ~0u);
  }
  template <class B>
  static B scale_codes(const auto& t, int g) {
    return B::load(t.field[1] + 16 * g);
  }
};

struct IQ1_M {
  static constexpr std::uint32_t id = 29;
  static constexpr int elements = 256, group = 16, zero = 9, top = 18;
  static constexpr bool has_min = false, sub_scales = true;
  static constexpr float step = 0.125f;
  struct Block {
    std::uint8_t qs[32];     // low bytes of the points
    std::uint8_t qh[16];     // nibble e: the upper three bits of point e, and a minus before its 1/8
    std::uint8_t scales[8];  // four words of four 3-bit scales and, on top, a nibble of d
  };
  static_assert(sizeof(Block) == 56);
  static constexpr Field fields[] = {{48, 2, 2}, {50, 6, 1}, {0, 32, 4}, {32, 16, 4}};
  // Eighths, plus 9, by the coordinate's two bits and the minus above them.
  alignas(16) static constexpr std::uint8_t eighths[16] = {2, 10, 18, 0, 0, 8, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0};

  static int word(const Block& b, int w) { return b.scales[2 * w] | b.scales[2 * w + 1] << 8; }
  static std::uint16_t d_bits(const Block& b) {
    return static_cast<std::uint16_t>(word(b, 0) >> 12 | word(b, 1) >> 12 << 4 | word(b, 2) >> 12 << 8 |
                                      word(b, 3) >> 12 << 12);
  }
  static int scale_bits(const Block& b, int g) { return word(b, g >> 2) >> 3 * (g & 3) & 7; }

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(d_bits(b));
    for (int e = 0; e < 32; ++e) {
      const float scale = d * static_cast<float>(2 * scale_bits(b, e >> 1) + 1);
      const int high = b.qh[e >> 1] >> 4 * (e & 1) & 15, point = b.qs[e] | (high & 7) << 8;
      const float delta = high & 8 ? -step : step;
      for (int j = 0; j < 8; ++j)
        y[8 * e + j] = scale * (static_cast<float>(Iq1Grid::coordinate(point, j)) + delta);
    }
  }

  // In a tile the scales' eight bytes are d, the low two bits of scale g in byte 2 + g % 4 at 2 (g / 4), and
  // its third bit in byte 6 + g % 2 at g / 2.
  static void arrange(Block& b) {
    const std::uint16_t d = d_bits(b);
    std::uint8_t out[8] = {static_cast<std::uint8_t>(d), static_cast<std::uint8_t>(d >> 8)};
    for (int g = 0; g < 16; ++g) {
      std::uint8_t &low = out[2 + (g & 3)], &high = out[6 + (g & 1)];
      low = static_cast<std::uint8_t>(low | (scale_bits(b, g) & 3) << 2 * (g >> 2));
      high = static_cast<std::uint8_t>(high | scale_bits(b, g) >> 2 << (g >> 1));
    }
    for (int i = 0; i < 8; ++i) b.scales[i] = out[i];
  }
  static void restore(Block& b) {
    std::uint8_t out[8] = {};
    for (int w = 0; w < 4; ++w) {
      int word = (b.scales[w >> 1] >> 4 * (w & 1) & 15) << 12;
      for (int i = 0; i < 4; ++i) {
        const int g = 4 * w + i;
        const int low = b.scales[2 + i] >> 2 * w & 3, high = b.scales[6 + (g & 1)] >> (g >> 1) & 1;
        word |= (low | high << 2) << 3 * i;
      }
      out[2 * w] = static_cast<std::uint8_t>(word);
      out[2 * w + 1] = static_cast<std::uint8_t>(word >> 8);
    }
    for (int i = 0; i < 8; ++i) b.scales[i] = out[i];
  }

  using Spread = SpreadIq1M;
  static void spread(const Block& b, Spread::Block& out) {
    out.d = d_bits(b);
    for (int g = 0; g < 16; ++g) out.scales[g] = static_cast<std::uint8_t>(2 * scale_bits(b, g) + 1);
    for (int e = 0; e < 32; ++e) {
      const int high = b.qh[e >> 1] >> 4 * (e & 1) & 15, point = b.qs[e] | (high & 7) << 8;
      put_bits(out.plus[e >> 3], high & 8 ? 0 : 1, e & 7);
      for (int j = 0; j < 8; ++j) TwoBits::put(out.qs, 8 * e + j, Iq1Grid::coordinate(point, j) + 1);
    }
  }

  template <class V>
  static void codes_of_32(const auto& t, int s, V (&out)[8]) {
    const V low = V::load(t.field[2] + 64 * s);
    const V high = V::load(t.field[3] + 64 * (s >> 1)).word_bits(16 * (s & 1), 0xffff);
    V index[4];
    for (int l = 0; l < 4; ++l) index[l] = low.word_bits(8 * l, 255) | high.word_bits(4 * l - 8, 0x700);
    V::eights(Iq1Grid::words.word, index, out);
    const auto table = V::sixteen(eighths);
    for (int i = 0; i < 8; ++i) out[i] = (out[i] | high.if_bit(4 * (i >> 1) + 3, 0x04040404)).lookup(table);
  }
  template <class B>
  static B scale_codes(const auto& t, int g) {
    const B low = B::load(t.field[1] + 16 * (g & 3)).bits(2 * (g >> 2), 3);
    const B high = B::load(t.field[1] + 16 * (4 + (g & 1))).bits(g >> 1, 1);
    return (low | high.shl(2)).shl(1).minus(-1);
  }
};

}  // namespace rf
