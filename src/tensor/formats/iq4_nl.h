// IQ4_NL: 32 elements, d times one of 16 values.
#pragma once
#include "tensor/formats/format.h"

namespace rf {

struct Iq4Values {
  static constexpr std::int8_t values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                             1,    13,   25,  38,  53,  69,  89,  113};
  static constexpr int zero = 128, top = 255;
  alignas(16) static constexpr std::uint8_t codes[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                                         129, 141, 153, 166, 181, 197, 217, 241};
};

struct IQ4_NL {
  static constexpr std::uint32_t id = 20;
  static constexpr int elements = 32, group = 32, zero = Iq4Values::zero, top = Iq4Values::top;
  static constexpr bool has_min = false, sub_scales = false;
  struct Block {
    std::uint16_t d;
    std::uint8_t qs[16];  // elements i (low nibble) and i + 16 (high)
  };
  static_assert(sizeof(Block) == 18);
  static constexpr Field fields[] = {{0, 2, 2}, {2, 16, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d);
    for (int i = 0; i < 16; ++i) {
      y[i] = d * static_cast<float>(Iq4Values::values[b.qs[i] & 15]);
      y[i + 16] = d * static_cast<float>(Iq4Values::values[b.qs[i] >> 4]);
    }
  }

  static void put(Block& b, int k, int code) { put_bits(b.qs[k & 15], code, 4 * (k >> 4)); }

  template <class V>
  static V codes(const auto& t, int, int i) {
    return V::load(t.field[1] + 64 * (i & 3)).bits(4 * (i >> 2), 15).lookup(V::sixteen(Iq4Values::codes));
  }
};

}  // namespace rf
