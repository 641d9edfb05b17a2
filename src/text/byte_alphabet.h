// The printable alphabet of byte-level BPE: one character for each of the 256 bytes (GPT-2's encoder.py).
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rf {

class ByteAlphabet {
 public:
  ByteAlphabet();

  const std::string& character(std::uint8_t byte) const { return characters_[byte]; }
  std::string spell(std::string_view bytes) const;
  // The bytes that `spelled` (any bytes) stands for; none when it is not made of the alphabet alone.
  std::optional<std::string> read(std::string_view spelled) const;

 private:
  static constexpr std::size_t points = 256 + 68;  // 68 bytes have no printable character of their own
  std::array<std::string, 256> characters_;
  std::array<std::int16_t, points> bytes_;  // by code point, -1 where none
};

}  // namespace rf
