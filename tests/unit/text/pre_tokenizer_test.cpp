#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace rf {
namespace {

using Words = std::vector<std::string_view>;

Words split(std::string_view name, std::string_view text) {
  for (const PreTokenizerSpec& spec : pre_tokenizer_specs())
    if (std::find(spec.names.begin(), spec.names.end(), name) != spec.names.end())
      return PreTokenizer(spec).split(text);
  ADD_FAILURE() << "no pre-tokenizer " << name;
  return {};
}

TEST(PreTokenizer, EveryRowCompilesLeavesNoGapAndHasNamesOfItsOwn) {
  const std::string text =
      "It's 12345 a\xCC\x81 \xE4\xB8\xAD\xE6\x96\x87  \r\n\t x_y (z)!! <sentinel:1>\xC2\xBD "
      "\xF0\x9F\x98\x80 ";
  std::set<std::string_view> names;
  for (const PreTokenizerSpec& spec : pre_tokenizer_specs()) {
    for (const std::string_view name : spec.names) EXPECT_TRUE(names.insert(name).second) << name;
    const Words words = PreTokenizer(spec).split(text);
    std::string joined;
    for (const std::string_view word : words) {
      EXPECT_FALSE(word.empty());
      joined += word;
    }
    EXPECT_EQ(joined, text) << spec.names.front();
    EXPECT_GT(words.size(), 5u) << spec.names.front();
  }
}

TEST(PreTokenizer, Gpt2) {
  EXPECT_EQ(split("gpt-2", "it's  12 a\n\n b"), Words({"it", "'s", " ", " 12", " a", "\n\n", " b"}));
}

TEST(PreTokenizer, Llama3TakesThreeDigitsAndNewlinesAfterPunctuation) {
  EXPECT_EQ(split("llama-bpe", "12345 IT'S ok!\n\n  x"),
            Words({"123", "45", " IT", "'S", " ok", "!\n\n", " ", " x"}));
}

TEST(PreTokenizer, Qwen2SplitsDigitsAndQwen35KeepsMarks) {
  EXPECT_EQ(split("qwen2", "12 a\xCC\xB4z"), Words({"1", "2", " a", "\xCC\xB4z"}));
  EXPECT_EQ(split("qwen35", "12 a\xCC\xB4z"), Words({"1", "2", " a\xCC\xB4z"}));
}

TEST(PreTokenizer, Gpt4oCutsWhereCaseRises) {
  EXPECT_EQ(split("gpt-4o", "camelCase don't a/\n/b"), Words({"camel", "Case", " don't", " a", "/\n/", "b"}));
}

TEST(PreTokenizer, FalconTakesDigitsOutOfBytes) {
  EXPECT_EQ(split("falcon", "a 1234"), Words({"a", " ", "123", "4"}));
  EXPECT_EQ(split("falcon", " \xC2\xBD"), Words({" \xC2", "\xBD"}));
}

TEST(PreTokenizer, DeepseekLlmKeepsSpaceBeforeALineEnd) {
  EXPECT_EQ(split("deepseek-llm", "a  \nb   "), Words({"a", "  ", "\n", "b", "   "}));
}

TEST(PreTokenizer, DigitsAreGroupedFromTheRight) {
  EXPECT_EQ(split("superbpe", "a 1234567b"), Words({"a ", "1", "234", "567", "b"}));
  EXPECT_EQ(split("tiny_aya", "1234567 x"), Words({"1", "234", "567", " x"}));
  EXPECT_EQ(split("tiny_aya", "1234x"), Words({"123", "4", "x"})) << "no word ends after the digits";
}

TEST(PreTokenizer, NewerFamilies) {
  EXPECT_EQ(split("kimi-k2", "a\xE4\xB8\xAD\xE6\x96\x87 b's"),
            Words({"a", "\xE4\xB8\xAD\xE6\x96\x87", " b's"}));
  EXPECT_EQ(split("exaone-moe", "ab cd, 12\n"), Words({"ab cd", ",", " ", "1", "2", "\n"}));
  EXPECT_EQ(split("jais-2", "a" + std::string(7, ' ') + "b").size(), 4u)
      << "four, two and the one before the b";
  EXPECT_EQ(split("laguna", "a\n\n b"), Words({"a", "\n\n", " b"}));
  EXPECT_EQ(split("minicpm5", "12345"), Words({"123", "45"}));
}

// Long runs neither exhaust the matcher nor change where it cuts.
TEST(PreTokenizer, LongRunsAreCutLikeShortOnes) {
  constexpr std::size_t size = 1000000;
  for (const char* name : {"gpt-4o", "tekken"})
    EXPECT_EQ(split(name, std::string(size, 'A') + "b 1").size(), split(name, "AAb 1").size()) << name;
  for (const char* name : {"gpt-2", "kimi-k2", "superbpe", "tiny_aya", "afmoe", "exaone-moe", "youtu",
                           "llama-bpe", "qwen2", "deepseek-v3", "deepseek-llm", "deepseek-coder", "falcon"})
    EXPECT_EQ(
        split(name, std::string(size, ' ') + "x" + std::string(size, 'y') + std::string(size, '!')).size(),
        split(name, "   xyy!!").size())
        << name;
}

// U+180E is a format character since Unicode 6.3; PCRE2's own \s would take it.
TEST(PreTokenizer, WhiteSpaceIsUnicodes) {
  EXPECT_EQ(split("gpt-2", " \xE1\xA0\x8E!"), Words({" \xE1\xA0\x8E!"}));
  EXPECT_EQ(split("gpt-2", "a\xE2\x80\x83\xC2\x85"), Words({"a", "\xE2\x80\x83\xC2\x85"}));
}

}  // namespace
}  // namespace rf
