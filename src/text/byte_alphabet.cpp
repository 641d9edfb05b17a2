#include "text/byte_alphabet.h"

#include "text/unicode.h"

namespace rf {

// Bytes that Latin-1 prints keep their code point; the others take those from U+0100 on, in order.
ByteAlphabet::ByteAlphabet() {
  bytes_.fill(-1);
  std::size_t next = 256;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
    const std::size_t point = printable ? byte : next++;
    append_utf8(characters_[byte], static_cast<char32_t>(point));
    bytes_[point] = static_cast<std::int16_t>(byte);
  }
}

std::string ByteAlphabet::spell(std::string_view bytes) const {
  std::string spelled;
  spelled.reserve(2 * bytes.size());
  for (const char byte : bytes) spelled += characters_[static_cast<std::uint8_t>(byte)];
  return spelled;
}

std::optional<std::string> ByteAlphabet::read(std::string_view spelled) const {
  std::string bytes;
  while (!spelled.empty()) {
    const Utf8Part part = first_utf8(spelled);
    if (part.kind != Utf8::valid) return std::nullopt;
    const char32_t point = code_point(spelled.substr(0, part.bytes));
    if (point >= points || bytes_[point] < 0) return std::nullopt;
    bytes += static_cast<char>(bytes_[point]);
    spelled.remove_prefix(part.bytes);
  }
  return bytes;
}

}  // namespace rf
