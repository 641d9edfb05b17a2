#include "text/spm.h"

#include <array>
#include <bit>
#include <cmath>

#include "base/error.h"
#include "text/merge.h"
#include "text/unicode.h"
#include "text/word_cache.h"

namespace rf {
namespace {

constexpr std::string_view space_mark = "\xE2\x96\x81";  // U+2581 stands for a space in stored texts

// Ascending where scores descend; NaN comes last.
std::uint32_t priority_of(float score) {
  if (std::isnan(score)) return ~std::uint32_t{0};
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0f);  // -0 becomes 0
  return bits >> 31 ? bits : ~(bits | 0x80000000u);
}

// The end of the run of space marks, perhaps empty, at `at`.
std::size_t after_marks(std::string_view text, std::size_t at) {
  while (text.substr(at).starts_with(space_mark)) at += space_mark.size();
  return at;
}

class Spm final : public Tokenizer {
 public:
  Spm(Vocabulary vocabulary, const Gguf& file)
      : Tokenizer(std::move(vocabulary)),
        adds_space_(file.get<bool>("tokenizer.ggml.add_space_prefix", true)) {
    if (this->vocabulary().scores.empty()) fail("{}: key tokenizer.ggml.scores is missing", file.path());
    index_pieces();
    index_bytes();
  }

  bool strips_first_space() const override { return adds_space_; }

 protected:
  void encode_plain(std::string_view text, std::vector<std::int32_t>& ids) const override;
  std::string plain_piece(std::string_view stored) const override;

 private:
  void index_pieces();
  void index_bytes();
  std::size_t word_end(std::string_view text, std::size_t at) const;
  void encode_word(std::string_view word, Merger& merger, std::vector<std::int32_t>& ids) const;
  void encode_bytes(std::string_view bytes, std::vector<std::int32_t>& ids) const;

  bool adds_space_;
  bool crosses_words_ = false;                   // some piece has a space mark after another character
  std::size_t longest_ = 0;                      // bytes of the longest piece
  StringTable pieces_;                           // texts that merging may give
  std::array<std::int32_t, 256> byte_tokens_{};  // -1 where absent
};

void Spm::index_pieces() {
  pieces_ = StringTable(vocabulary().texts.size());
  for (std::int32_t id = 0; id < vocabulary().size(); ++id) {
    const std::string_view text = vocabulary().text(id);
    if (vocabulary().type(id) != TokenType::normal || text.empty()) continue;
    pieces_.insert(text, id);
    longest_ = std::max(longest_, text.size());
    crosses_words_ = crosses_words_ || text.find(space_mark, after_marks(text, 0)) != text.npos;
  }
}

void Spm::index_bytes() {
  byte_tokens_.fill(-1);
  for (std::int32_t id = 0; id < vocabulary().size(); ++id) {
    if (vocabulary().type(id) != TokenType::byte) continue;
    const std::string byte = piece(id);
    if (byte.empty())
      fail("key tokenizer.ggml.tokens: entry {}: expected a byte like <0x0A>, found \"{}\"", id,
           vocabulary().text(id));
    byte_tokens_[static_cast<std::uint8_t>(byte.front())] = id;
  }
}

// The text is cut before every run of space marks, which no piece reaches across: the same merges, on short
// words.
std::size_t Spm::word_end(std::string_view text, std::size_t at) const {
  if (crosses_words_) return text.size();
  return std::min(text.find(space_mark, after_marks(text, at)), text.size());
}

void Spm::encode_plain(std::string_view text, std::vector<std::int32_t>& ids) const {
  std::string marked;
  marked.reserve(text.size() + text.size() / 2);
  if (adds_space_) marked += space_mark;
  for (const char c : text) {
    if (c == ' ')
      marked += space_mark;
    else
      marked += c;
  }
  WordCache cache;
  Merger merger;
  const auto encode = [&](std::string_view word, std::vector<std::int32_t>& out) {
    encode_word(word, merger, out);
  };
  for (std::size_t at = 0; at < marked.size();) {
    const std::size_t end = word_end(marked, at);
    cache.append(std::string_view(marked).substr(at, end - at), ids, encode);
    at = end;
  }
}

void Spm::encode_word(std::string_view word, Merger& merger, std::vector<std::int32_t>& ids) const {
  merger.symbols.clear();
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t bytes = first_utf8(word.substr(at)).bytes;
    merger.add(static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at + bytes),
               pieces_.find(word.substr(at, bytes)));
    at += bytes;
  }
  merger.merge([&](const Symbol& left, const Symbol& right) -> std::optional<Joined> {
    if (right.end - left.begin > longest_) return std::nullopt;
    const std::int32_t token = pieces_.find(word.substr(left.begin, right.end - left.begin));
    if (token < 0) return std::nullopt;
    return Joined{priority_of(vocabulary().scores[static_cast<std::size_t>(token)]), token};
  });
  for (std::int32_t i = 0; i >= 0; i = merger.symbols[static_cast<std::size_t>(i)].right) {
    const Symbol& symbol = merger.symbols[static_cast<std::size_t>(i)];
    if (symbol.token >= 0)
      ids.push_back(symbol.token);
    else
      encode_bytes(word.substr(symbol.begin, symbol.end - symbol.begin), ids);
  }
}

// A character without a token: its bytes or, in a vocabulary without bytes, the unknown token (if there is
// one).
void Spm::encode_bytes(std::string_view bytes, std::vector<std::int32_t>& ids) const {
  for (const char c : bytes) {
    const std::int32_t token = byte_tokens_[static_cast<std::uint8_t>(c)];
    if (token >= 0) {
      ids.push_back(token);
    } else {
      if (vocabulary().unknown >= 0) ids.push_back(vocabulary().unknown);
      return;
    }
  }
}

std::string Spm::plain_piece(std::string_view stored) const {
  std::string bytes;
  for (std::size_t at = 0; at < stored.size();) {
    const bool space = stored.substr(at).starts_with(space_mark);
    bytes += space ? ' ' : stored[at];
    at += space ? space_mark.size() : 1;
  }
  return bytes;
}

}  // namespace

std::unique_ptr<Tokenizer> make_spm(const Gguf& file) {
  return std::make_unique<Spm>(Vocabulary::from(file, true), file);
}

}  // namespace rf
