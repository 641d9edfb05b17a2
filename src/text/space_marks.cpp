#include "text/space_marks.h"

#include <algorithm>

#include "base/error.h"
#include "text/unicode.h"

namespace rf {
namespace {

constexpr char32_t mark_point = 0x2581;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string with_marks(std::string_view text) {
  const auto spaces = static_cast<std::size_t>(std::count(text.begin(), text.end(), ' '));
  std::string marked(text.size() + spaces * (space_mark.size() - 1), '\0');
  char* out = marked.data();
  for (const char c : text) {
    if (c == ' ')
      out = std::copy(space_mark.begin(), space_mark.end(), out);
    else
      *out++ = c;
  }
  return marked;
}

std::string without_marks(std::string_view stored) {
  std::string text;
  for (std::size_t at = 0; at < stored.size();) {
    const bool space = stored.substr(at).starts_with(space_mark);
    text += space ? ' ' : stored[at];
    at += space ? space_mark.size() : 1;
  }
  return text;
}

void WordCutter::learn(std::string_view piece) {
  if (well_formed_prefix(piece) != piece.size()) return;  // no text has it
  for (std::size_t at = 0; at < piece.size();) {
    const WellFormed left = decode_well_formed(piece.data() + at);
    at += left.bytes;
    if (at < piece.size())
      neighbours_[place_of(left.point, decode_well_formed(piece.data() + at).point)] = true;
  }
}

std::size_t WordCutter::word_end(std::string_view text, std::size_t at) const {
  WellFormed left = decode_well_formed(text.data() + at);
  for (at += left.bytes; at < text.size(); at += left.bytes) {
    const WellFormed right = decode_well_formed(text.data() + at);
    const bool cuts = at_ == At::any_character || right.point == mark_point;
    if (cuts && !neighbours_[place_of(left.point, right.point)]) break;
    left = right;
  }
  return at;
}

ByteTokens::ByteTokens(const Gguf& file, const Vocabulary& vocabulary) : unknown_(vocabulary.unknown) {
  tokens_.fill(-1);
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.type(id) != TokenType::byte) continue;
    const std::string byte = byte_named(vocabulary.text(id));
    if (byte.empty())
      fail("{}: key tokenizer.ggml.tokens: entry {}: expected a byte like <0x0A>, found \"{}\"", file.path(),
           id, vocabulary.text(id));
    tokens_[static_cast<std::uint8_t>(byte.front())] = id;
  }
}

void ByteTokens::append(std::string_view bytes, std::vector<std::int32_t>& ids) const {
  for (const char c : bytes) {
    const std::int32_t token = tokens_[static_cast<std::uint8_t>(c)];
    if (token < 0) {
      if (unknown_ >= 0) ids.push_back(unknown_);
      return;
    }
    ids.push_back(token);
  }
}

std::string byte_named(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return {};
  const int high = hex_digit(text[3]), low = hex_digit(text[4]);
  if (high < 0 || low < 0) return {};
  return std::string(1, static_cast<char>(high * 16 + low));
}

}  // namespace rf
