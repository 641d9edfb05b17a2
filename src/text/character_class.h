// CharacterClass: what tokenizers ask of a code point's properties (Unicode general category and
// White_Space).
#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace rf {

// Flags; a code point has that of its general category, and white_space besides.
enum CharacterClass : std::uint16_t {
  upper_case = 1,       // Lu, Lt
  lower_case = 2,       // Ll
  caseless_letter = 4,  // Lm, Lo
  nonspacing_mark = 8,  // Mn
  other_mark = 16,      // Mc, Me
  number = 32,          // Nd, Nl, No
  punctuation = 64,     // P*
  symbol = 128,         // S*
  white_space = 256,    // the property, which the separators (Z*) and some controls have
  control = 512,        // Cc
  invisible = 1024,     // Cf, Co, Cs
  composes = 2048,      // normalisation form C may change or move it, or join it to what is before it
  letter = upper_case | lower_case | caseless_letter,
  mark = nonspacing_mark | other_mark,
};

// The classes of every code point in two steps, equal blocks stored once: small enough for the cache.
class CharacterClasses {
 public:
  static const CharacterClasses& table();  // made when first asked for

  // A set of CharacterClass; 0 for unassigned code points.
  std::uint16_t operator[](char32_t point) const {
    return classes_[static_cast<std::size_t>(blocks_[point >> 8]) << 8 | (point & 0xFF)];
  }

 private:
  CharacterClasses();

  std::array<std::uint16_t, 0x1100> blocks_{};
  std::vector<std::uint16_t> classes_;  // blocks of 256
};

}  // namespace rf
