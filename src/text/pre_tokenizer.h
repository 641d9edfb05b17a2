// Pre-tokenizers: how byte-level BPE models cut a text into words, which merges never cross.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rf {

// One row of the table of published pre-tokenizers.
struct PreTokenizerSpec {
  std::vector<std::string_view> names;       // values of tokenizer.ggml.pre
  std::vector<const char*> patterns;         // PCRE2; each cuts what those before it left
  std::vector<const char*> byte_patterns{};  // after them, seeing bytes instead of characters
  bool whole_words = false;         // a word that is a token is taken as it is, whatever the merges say
  bool nfc = false;                 // the text is brought to normalisation form C first
  bool add_bos = false;             // where the file does not say
  const char* after_bos = nullptr;  // text of a token that follows BOS
};

std::span<const PreTokenizerSpec> pre_tokenizer_specs();

class PreTokenizer {
 public:
  explicit PreTokenizer(const PreTokenizerSpec& spec);
  ~PreTokenizer();
  PreTokenizer(const PreTokenizer&) = delete;
  PreTokenizer& operator=(const PreTokenizer&) = delete;

  // The words of well-formed `text`, in order and without gaps: what a pattern matches is a word, and so is
  // each stretch between two matches.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  struct Pattern;
  std::vector<Pattern> patterns_;
};

}  // namespace rf
