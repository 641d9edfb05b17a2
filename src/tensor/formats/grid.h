// Points of a grid as words to look up: what the IQ1, IQ2 and IQ3 formats number are points, not values.
#pragma once
#include <cstdint>

namespace rf {

template <class Word, int n>
struct GridWords {
  Word word[n];
};

// A byte a coordinate, the first lowest, from points of eight coordinates of two bits (Word of 64 bits) or
// four of four bits (32).
template <class Word, int n>
constexpr GridWords<Word, n> grid_words(const std::uint16_t (&points)[n]) {
  constexpr int coordinates = sizeof(Word), bits = 16 / coordinates;
  GridWords<Word, n> out{};
  for (int p = 0; p < n; ++p)
    for (int k = 0; k < coordinates; ++k)
      out.word[p] |= static_cast<Word>(points[p] >> bits * k & ((1 << bits) - 1)) << 8 * k;
  return out;
}

}  // namespace rf
