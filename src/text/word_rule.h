// WordRule: the cut of a text into words that GPT-2's regular expression began and later models vary, in one
// pass.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace rf {

// The alternatives, of which the first that matches counts at each place; in the notation of regular
// expressions:
//   Han characters     \p{Han}+
//   a contraction      's|'t|'re|'ve|'m|'ll|'d
//   a word             [^\r\n\p{L}\p{N}]?\p{L}+
//   a number           \p{N}{1,3}
//   other characters    ?[^\s\p{L}\p{N}]+[\r\n]*
//   white space        \s*[\r\n]+|\s+(?!\S)|\s+
// Text that none of them takes does not exist.
struct WordRule {
  enum class Contractions : std::uint8_t { none, lower_case, any_case };
  enum class Letters : std::uint8_t {
    letters,           // \p{L}
    with_marks,        // [\p{L}\p{M}], which then are no other characters
    with_joiners,      // [\p{L}\p{M}\x{200C}\x{200D}], which stay other characters where no word takes them
    upper_then_lower,  // U*W+|U+W* with U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and W = [\p{Ll}\p{Lm}\p{Lo}\p{M}]
  };

  Contractions contractions = Contractions::any_case;
  Letters letters = Letters::letters;
  bool only_space_before = false;  // words and numbers may begin with a space, and with no other character
  bool contraction_after = false;  // of any case, as a part of the word before it
  bool han = false;                // runs of Han characters are words of their own
  std::uint32_t digits = 1;        // the most of a number; 0: all
  std::string_view tail = "\r\n";  // what other characters take along
  bool newlines = true;            // \s*[\r\n]+
};

// Appends the words of well-formed `text`, in order and without gaps. Linear time.
void append_words(std::string_view text, const WordRule& rule, std::vector<std::string_view>& words);

}  // namespace rf
