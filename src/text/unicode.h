// UTF-8 and normalisation.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace rf {

inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD";  // U+FFFD

enum class Utf8 : std::uint8_t {
  valid,       // a whole character
  ill_formed,  // bytes that no continuation can make a character (Unicode 15, 3.9: a maximal subpart)
  truncated,   // the beginning of a character, cut off by the end of the text
};

struct Utf8Part {
  Utf8 kind;
  std::uint8_t bytes;  // 1 to 4
};

// What `text`, not empty, begins with (Unicode 15, table 3-7).
Utf8Part first_utf8(std::string_view text);

// How many bytes at the beginning of `text` are well-formed UTF-8.
std::size_t well_formed_prefix(std::string_view text);

// `text` with each ill-formed or truncated part replaced by U+FFFD.
std::string repaired_utf8(std::string_view text);

// The code point of a whole character, as first_utf8() delimits it.
char32_t code_point(std::string_view character);

struct WellFormed {
  char32_t point;
  std::uint8_t bytes;
};

// The character that well-formed text has at `at`, without a look at whether it is one.
inline WellFormed decode_well_formed(const char* at) {
  const auto byte = [at](std::size_t i) { return static_cast<char32_t>(static_cast<std::uint8_t>(at[i])); };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (lead < 0xF0) return {(lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4};
}

void append_utf8(std::string& out, char32_t point);

// Calls take(character) for each character of well-formed `text`.
template <class Take>
void for_each_character(std::string_view text, const Take& take) {
  while (!text.empty()) {
    const std::size_t bytes = first_utf8(text).bytes;
    take(text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
}

std::size_t count_characters(std::string_view text);  // of well-formed text

// Every character of well-formed `text` by its own lower case (Unicode 15, 4.2), whatever is around it.
std::string lower_cased(std::string_view text);

// Normalisation form D of well-formed `text`, as nfc() in everything else.
std::string nfd(std::string_view text);

// Normalisation form C of well-formed `text` (Unicode annex 15), in n log n time. An empty result means that
// `text` is its own normal form.
std::string nfc(std::string_view text);

}  // namespace rf
