// Points of a grid as words to look up: what the IQ1, IQ2 and IQ3 formats number are points, not values.
#pragma once
#include <cstdint>

namespace rf {

template <int n>
struct GridWords {
  std::uint32_t word[n];
};

// Eight coordinates of two bits become nibbles: byte j holds coordinate j in its low and j + 4 in its high one.
template <int n>
constexpr GridWords<n> words_of_eight(const std::uint16_t (&points)[n]) {
  GridWords<n> out{};
  for (int p = 0; p < n; ++p)
    for (int k = 0; k < 8; ++k)
      out.word[p] |= static_cast<std::uint32_t>(points[p] >> 2 * k & 3) << (8 * (k & 3) + 4 * (k >> 2));
  return out;
}

// Four coordinates of four bits become bytes.
template <int n>
constexpr GridWords<n> words_of_four(const std::uint16_t (&points)[n]) {
  GridWords<n> out{};
  for (int p = 0; p < n; ++p)
    for (int k = 0; k < 4; ++k) out.word[p] |= static_cast<std::uint32_t>(points[p] >> 4 * k & 15) << 8 * k;
  return out;
}

}  // namespace rf
