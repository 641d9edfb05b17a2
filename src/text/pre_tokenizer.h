// Pre-tokenizers: how byte-level BPE models cut a text into words, which merges never cross.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/word_rule.h"

namespace rf {

// What a regular expression of PCRE2 matches is a word, and so is each stretch between two matches.
struct RegexCut {
  const char* pattern;
  bool sees_bytes = false;  // instead of characters
};

// Runs of digits are cut into threes, counted from their right end.
struct DigitGroups {
  bool only_before_word_ends = false;  // runs that a letter, a mark or an underscore follows stay whole
};

// One step cuts what those before it left.
using SplitStep = std::variant<WordRule, RegexCut, DigitGroups>;

// One row of the table of published pre-tokenizers.
struct PreTokenizerSpec {
  std::vector<std::string_view> names;  // values of tokenizer.ggml.pre
  std::vector<SplitStep> steps;
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

  // The words of well-formed `text`, in order and without gaps.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  struct Matcher;
  struct Step;
  std::vector<Step> steps_;
};

}  // namespace rf
