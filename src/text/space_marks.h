// SentencePiece's stored texts: U+2581 stands for a space, and <0x0A> for a byte.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"
#include "text/word_cache.h"

namespace rf {

inline constexpr std::string_view space_mark = "\xE2\x96\x81";

std::string with_marks(std::string_view text);       // spaces become marks
std::string without_marks(std::string_view stored);  // marks become spaces

// Cuts well-formed text between two characters that are neighbours in no piece: as no piece reaches across
// such a place, each word by itself gives the same as in the whole text.
class WordCutter {
 public:
  enum class At : std::uint8_t { any_character, marks };
  explicit WordCutter(At at = At::any_character) : at_(at) {}

  void learn(std::string_view piece);  // a text of several characters that a token may stand for

  // Appends the ids of `text` to `ids`: encode(word, ids) appends those of a word that `words` lacks.
  template <class Encode>
  void encode_words(std::string_view text, WordCache& words, std::vector<std::int32_t>& ids,
                    const Encode& encode) const {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = word_end(text, at);
      words.append(text.substr(at, end - at), ids, encode);
      at = end;
    }
  }

 private:
  static constexpr int place_bits = 20;
  static std::size_t place_of(char32_t left, char32_t right) {
    return (std::uint64_t{left} << 21 | right) * 0x9e3779b97f4a7c15u >> (64 - place_bits);
  }

  std::size_t word_end(std::string_view text, std::size_t at) const;

  At at_;
  // By the hash of two characters: whether they may be neighbours. Where others share the place of two that
  // never are, a word is longer than it had to be, and as right.
  std::vector<bool> neighbours_ = std::vector<bool>(std::size_t{1} << place_bits);
};

// The tokens of single bytes, for characters that have none of their own.
class ByteTokens {
 public:
  // Throws Error naming the file and the entry for a byte token whose text names no byte.
  ByteTokens(const Gguf& file, const Vocabulary& vocabulary);

  // Appends the tokens of `bytes`; in a vocabulary without them the unknown token, if there is one.
  void append(std::string_view bytes, std::vector<std::int32_t>& ids) const;

 private:
  std::array<std::int32_t, 256> tokens_{};  // -1 where absent
  std::int32_t unknown_;
};

// The byte that "<0x0A>" names, as a string of one; "" for any other text.
std::string byte_named(std::string_view text);

}  // namespace rf
