// The one-pass rules against the regular expressions that they stand for, on texts made by chance.
#include "text/word_rule.h"

#include <gtest/gtest.h>

#include <random>

#include "text/pre_tokenizer.h"
#include "text/unicode.h"

#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACE_TAIL "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CASED(PREFIX, NOT_HAN, TAIL)                                       \
  PREFIX "(?:" NOT_HAN "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}])*(?:" NOT_HAN \
         "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}])+" TAIL "|" PREFIX "(?:" NOT_HAN   \
         "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}])+(?:" NOT_HAN "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}])*" TAIL
#define PREFIX "[^\\r\\n\\p{L}\\p{N}]?"

namespace rf {
namespace {

using Letters = WordRule::Letters;
using Contractions = WordRule::Contractions;

struct Pair {
  const char* name;
  WordRule rule;
  const char* pattern;
};

const Pair pairs[] = {
    {"gpt2",
     {.contractions = Contractions::lower_case,
      .only_space_before = true,
      .digits = 0,
      .tail = "",
      .newlines = false},
     "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"},
    {"gpt4",
     {.digits = 3},
     CONTRACTION "|" PREFIX "\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" SPACE_TAIL},
    {"qwen2", {}, CONTRACTION "|" PREFIX "\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" SPACE_TAIL},
    {"qwen35",
     {.letters = Letters::with_marks},
     CONTRACTION "|" PREFIX "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" SPACE_TAIL},
    {"joiners",
     {.letters = Letters::with_joiners, .digits = 3},
     CONTRACTION "|" PREFIX
                 "[\\p{L}\\p{M}\\x{200C}\\x{200D}]+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" SPACE_TAIL},
    {"seed_coder",
     {.tail = ""},
     CONTRACTION "|" PREFIX "\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+" SPACE_TAIL},
    {"gpt4o",
     {.contractions = Contractions::none,
      .letters = Letters::upper_then_lower,
      .contraction_after = true,
      .digits = 3,
      .tail = "\r\n/"},
     CASED(PREFIX, "", CONTRACTION "?") "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" SPACE_TAIL},
    {"tekken",
     {.contractions = Contractions::none, .letters = Letters::upper_then_lower, .tail = "\r\n/"},
     CASED(PREFIX, "", "") "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" SPACE_TAIL},
    {"kimi",
     {.contractions = Contractions::none,
      .letters = Letters::upper_then_lower,
      .contraction_after = true,
      .han = true,
      .digits = 3},
     "\\p{sc:Han}+|" CASED(PREFIX, "(?!\\p{sc:Han})",
                           CONTRACTION "?") "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" SPACE_TAIL},
};

// Characters of every class, those that rules name more often than others.
std::string random_text(std::mt19937& random) {
  constexpr char32_t named[] = {' ',   ' ',   '\n', '\r',  '\t',   '\'',    's',    'S',    'l',
                                'L',   'r',   'e',  'v',   'd',    '/',     '.',    '1',    '2',
                                'A',   'b',   0xA0, 0x301, 0x903,  0x200D,  0x4E2D, 0x3005, 0x2F00,
                                0x1C5, 0x2B0, 0xBD, 0x17F, 0x3042, 0x1F600, 0x660,  0x2028, 0x378};
  std::string text;
  for (std::size_t n = random() % 24; n > 0; --n) {
    // Of blocks that are the same in all versions of Unicode that PCRE2 and utf8proc may have.
    const auto any = static_cast<char32_t>(random() % 0x870);
    append_utf8(text, random() % 8 == 0 ? any : named[random() % std::size(named)]);
  }
  return text;
}

class WordRules : public testing::TestWithParam<Pair> {};

TEST_P(WordRules, EqualTheirRegularExpressions) {
  const PreTokenizer rule({.names = {}, .steps = {GetParam().rule}});
  const PreTokenizer regex({.names = {}, .steps = {RegexCut{GetParam().pattern}}});
  std::mt19937 random(11);
  for (int i = 0; i < 20000 && !HasFailure(); ++i) {
    const std::string text = random_text(random);
    EXPECT_EQ(rule.split(text), regex.split(text)) << testing::PrintToString(text);
  }
}

INSTANTIATE_TEST_SUITE_P(Published, WordRules, testing::ValuesIn(pairs),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace rf
