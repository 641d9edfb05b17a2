// BertWords: how WordPiece models normalise a text and cut it into words (BERT's tokenization.py).
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace rf {

struct BertWords {
  bool lower;          // upper case becomes lower case
  bool strip_accents;  // canonical decomposition, without the nonspacing marks

  // Well-formed `text` without control characters, white space as U+0020, spaces around every ideograph.
  std::string normalised(std::string_view text) const;
};

// The words of a normal text in order: what lies between spaces, each punctuation mark a word of its own.
std::vector<std::string_view> bert_words(std::string_view normal);

}  // namespace rf
