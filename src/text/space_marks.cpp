#include "text/space_marks.h"

#include <algorithm>

#include "base/error.h"

namespace rf {
namespace {

// The end of the run of marks, perhaps empty, at `at`.
std::size_t after_marks(std::string_view text, std::size_t at) {
  while (text.substr(at).starts_with(space_mark)) at += space_mark.size();
  return at;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string with_marks(std::string_view text) {
  std::string marked;
  marked.reserve(text.size() + text.size() / 2);
  for (const char c : text) {
    if (c == ' ')
      marked += space_mark;
    else
      marked += c;
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
  crosses_words_ = crosses_words_ || piece.find(space_mark, after_marks(piece, 0)) != piece.npos;
}

std::size_t WordCutter::word_end(std::string_view text, std::size_t at) const {
  if (crosses_words_) return text.size();
  return std::min(text.find(space_mark, after_marks(text, at)), text.size());
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
