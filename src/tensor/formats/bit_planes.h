// Words of one bit an element, put in the order in which kernels take them.
#pragma once
#include <cstdint>

namespace rf {

// In a file, bit k of 32 bits is element k's. In a tile bit i of byte j is element 4 i + j's, so that one
// shift of the whole line lines them up with the codes of quad i.
static constexpr int plane_of_quad(int i) {
  return i;
}
static inline void to_planes(std::uint8_t* four) {
  std::uint8_t out[4] = {};
  for (int k = 0; k < 32; ++k)
    out[k & 3] = static_cast<std::uint8_t>(out[k & 3] | (four[k >> 3] >> (k & 7) & 1) << (k >> 2));
  for (int j = 0; j < 4; ++j) four[j] = out[j];
}
static inline void from_planes(std::uint8_t* four) {
  std::uint8_t out[4] = {};
  for (int k = 0; k < 32; ++k)
    out[k >> 3] = static_cast<std::uint8_t>(out[k >> 3] | (four[k & 3] >> (k >> 2) & 1) << (k & 7));
  for (int j = 0; j < 4; ++j) four[j] = out[j];
}

// The signs of four eights of elements, of which the file keeps seven a piece: the eighth makes the number of
// minus signs even. Bits 28 to 31 of the word hold something else, and stay where they are.
struct EvenSigns {
  static std::uint32_t word(const std::uint8_t* b) {
    return b[0] | static_cast<std::uint32_t>(b[1]) << 8 | static_cast<std::uint32_t>(b[2]) << 16 |
           static_cast<std::uint32_t>(b[3]) << 24;
  }
  static void set_word(std::uint8_t* b, std::uint32_t word) {
    for (int j = 0; j < 4; ++j) b[j] = static_cast<std::uint8_t>(word >> 8 * j);
  }
  // As a file has them: eight l's seven signs are bits 7 l to 7 l + 6. Returns a mask of all eight.
  static unsigned of_eight(std::uint32_t word, int l) {
    const unsigned seven = word >> 7 * l & 127, fold = seven ^ seven >> 4;
    return seven | ((fold ^ fold >> 1 ^ fold >> 2 ^ fold >> 3) & 1) << 7;
  }

  // In a tile quad i's signs are bit plane(i) of the four bytes; the eighths would be bits 28 to 31.
  static constexpr int plane(int i) { return (i >> 1) + 4 * (i & 1); }
  static void arrange(std::uint8_t* four) { move(four, true); }
  static void restore(std::uint8_t* four) { move(four, false); }
  template <class V>
  static V complete(V tile_word) {
    const V seven = tile_word.word_bits(0, 0x0fffffff);
    V parity = seven ^ seven.word_bits(16, 0xffff);
    parity = parity ^ parity.word_bits(8, 0xff);
    parity = parity ^ parity.word_bits(4, 15);
    return seven | parity.word_bits(-28, 0xf0000000);
  }

 private:
  static void move(std::uint8_t* four, bool to_tile) {
    const std::uint32_t in = word(four);
    std::uint32_t out = in & 0xf0000000;
    for (int l = 0; l < 4; ++l)
      for (int k = 0; k < 7; ++k) {
        const int file_bit = 7 * l + k, tile_bit = 8 * (k & 3) + plane(2 * l + (k >> 2));
        out |= to_tile ? (in >> file_bit & 1) << tile_bit : (in >> tile_bit & 1) << file_bit;
      }
    set_word(four, out);
  }
};

}  // namespace rf
