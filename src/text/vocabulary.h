// Vocabulary: what the tokenizer.ggml.* keys of a file say, whatever the family of the tokenizer.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "gguf/gguf.h"
#include "text/string_table.h"

namespace rf {

// The values of tokenizer.ggml.token_type.
enum class TokenType : std::uint8_t {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

// What holds where a file does not say; an id counts only where the vocabulary has it.
struct VocabularyDefaults {
  std::int32_t bos = -1, eos = -1, unknown = -1, separator = -1;
  bool add_bos = false, add_eos = false, add_sep = false;
};

// All views point into the mapping of the Gguf it was read from, which must outlive it.
struct Vocabulary {
  std::vector<std::string_view> texts;   // by id, as stored
  std::vector<TokenType> types;          // as many as texts
  std::vector<float> scores;             // as many as texts, or empty
  StringTable ids;                       // text -> id; the lowest id where two tokens share a text
  std::vector<bool> ends;                // by id: ends a generation
  std::vector<bool> takes_space;         // by id: whitespace after it in a text belongs to it
  std::int32_t takes_space_before = -1;  // the token to which whitespace before it in a text belongs
  std::vector<std::int32_t> suppressed;  // are never to be generated
  std::int32_t bos = -1, eos = -1, unknown = -1, separator = -1;
  bool add_bos = false, add_eos = false, add_sep = false;

  // Throws Error naming the file and the key.
  static Vocabulary from(const Gguf& file, const VocabularyDefaults& defaults);

  std::int32_t size() const { return static_cast<std::int32_t>(texts.size()); }
  bool contains(std::int32_t id) const { return id >= 0 && id < size(); }
  TokenType type(std::int32_t id) const { return types[static_cast<std::size_t>(id)]; }
  float score(std::int32_t id) const { return scores[static_cast<std::size_t>(id)]; }
  std::string_view text(std::int32_t id) const { return texts[static_cast<std::size_t>(id)]; }
};

}  // namespace rf
