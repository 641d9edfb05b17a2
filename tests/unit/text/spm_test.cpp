// SentencePiece's merging by scores, on small made-up vocabularies.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "text/tokenizer.h"
#include "vocabulary_file.h"

namespace rf {
namespace {

using test::control;
using test::Entry;
using test::Ids;
using test::plain_ids;
using test::spm_entries;
using test::unused;
using test::user_defined;

constexpr std::int32_t first_piece = 259, zero_byte = 3;

TEST(Spm, MergesByScoreAndFallsBackToBytes) {
  const auto tokenizer = test::load_spm(spm_entries({{"\xE2\x96\x81", 1, -9},
                                                     {"a", 1, -9},
                                                     {"b", 1, -9},
                                                     {"ab", 1, -2},
                                                     {"ba", 1, -1},
                                                     {"\xE2\x96\x81"
                                                      "a",
                                                      1, -3}}));
  const std::int32_t a = first_piece + 1, ba = first_piece + 4, space_a = first_piece + 5;
  EXPECT_EQ(plain_ids(*tokenizer, "aba"), Ids({space_a, ba}));
  EXPECT_EQ(plain_ids(*tokenizer, "a a"), Ids({space_a, space_a}));
  EXPECT_EQ(plain_ids(*tokenizer,
                      "a\xC3\xA9"
                      "a"),
            Ids({space_a, zero_byte + 0xC3, zero_byte + 0xA9, a}));
  EXPECT_EQ(plain_ids(*tokenizer, ""), Ids());
  EXPECT_EQ(tokenizer->decode(Ids{space_a, space_a}), "a a");
  Detokenizer continued(*tokenizer, false, true);
  EXPECT_EQ(continued.push(space_a), " a");
}

TEST(Spm, SpacePrefixFollowsTheFile) {
  const auto tokenizer =
      test::load_spm(spm_entries({{"\xE2\x96\x81", 1, -9}, {"a", 1, -9}}),
                     [](GgufWriter& w) { w.set("tokenizer.ggml.add_space_prefix", false); });
  EXPECT_EQ(plain_ids(*tokenizer, "a"), Ids({first_piece + 1}));
  EXPECT_EQ(tokenizer->decode(Ids{first_piece, first_piece + 1}), " a");
}

// "x y" as one piece reaches over a space: cutting the text into words must not hide it.
TEST(Spm, PiecesMayReachOverSpaces) {
  const auto tokenizer = test::load_spm(spm_entries({{"\xE2\x96\x81", 1, -9},
                                                     {"x", 1, -9},
                                                     {"y", 1, -9},
                                                     {"\xE2\x96\x81y", 1, -2},
                                                     {"x\xE2\x96\x81y", 1, -3}}));
  EXPECT_EQ(plain_ids(*tokenizer, "x y"), Ids({first_piece, first_piece + 4}));
}

TEST(Spm, BytesAreKnownByTheirTextsWhereTypesAreMissing) {
  const auto tokenizer = test::load([](GgufWriter& writer) {
    writer.set("tokenizer.ggml.model", "llama");
    std::vector<std::string> texts;
    for (const Entry& entry : spm_entries({{"a"}})) texts.push_back(entry.text);
    writer.set("tokenizer.ggml.tokens", texts);
    writer.set("tokenizer.ggml.scores", std::vector<float>(texts.size()));
    writer.set("tokenizer.ggml.add_space_prefix", false);
  });
  EXPECT_EQ(plain_ids(*tokenizer, "a\xC3\xA9"), Ids({first_piece, zero_byte + 0xC3, zero_byte + 0xA9}));
  EXPECT_EQ(tokenizer->decode(Ids{zero_byte + 0xC3, zero_byte + 0xA9}), "\xC3\xA9");
}

TEST(Spm, UserDefinedRunsOfMarksAreMerged) {
  const std::string mark = "\xE2\x96\x81";
  const auto tokenizer = test::load_spm(
      spm_entries({{mark, 1, -9}, {mark + mark, user_defined}, {mark + mark + mark, user_defined}}),
      [](GgufWriter& w) { w.set("tokenizer.ggml.add_space_prefix", false); });
  const std::int32_t one = tokenizer->find(mark);
  const Ids plain[] = {{one}, {one + 1}, {one + 2}, {one + 2, one}, {one + 2, one + 1}};
  for (std::size_t spaces = 1; spaces <= 5; ++spaces)
    EXPECT_EQ(plain_ids(*tokenizer, std::string(spaces, ' ')), plain[spaces - 1]) << spaces;
}

TEST(Spm, MergingNeverWritesASpecialToken) {
  const auto tokenizer =
      test::load_spm(spm_entries({{"<", 1, -9},
                                  {"s", 1, -9},
                                  {">", 1, -9},
                                  {"<s", 1, -1},
                                  {"pad", unused, 0},
                                  {"pa", 1, -1},
                                  {"d", 1, -9}}),
                     [](GgufWriter& w) { w.set("tokenizer.ggml.add_space_prefix", false); });
  EXPECT_EQ(tokenizer->encode("<s>", {.add_special = false, .parse_special = false}),
            Ids({first_piece + 3, first_piece + 2}));
  EXPECT_EQ(plain_ids(*tokenizer, "pad").back(), first_piece + 6);
}

TEST(Spm, WithoutBytesUnknownCharactersAreUnknown) {
  const auto tokenizer = test::load_spm(
      {{"<unk>", 2}, {"a", 1, -1}}, [](GgufWriter& w) { w.set("tokenizer.ggml.add_space_prefix", false); });
  EXPECT_EQ(plain_ids(*tokenizer,
                      "a\xC3\xA9"
                      "a"),
            Ids({1, 0, 1}));
}

TEST(Spm, OddScoresGiveSomeEncoding) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const auto tokenizer =
      test::load_spm(spm_entries({{"a", 1, 0}, {"aa", 1, nan}, {"ab", 1, inf}, {"b", 1, -inf}}),
                     [](GgufWriter& w) { w.set("tokenizer.ggml.add_space_prefix", false); });
  EXPECT_EQ(plain_ids(*tokenizer, "aab"), Ids({first_piece, first_piece + 2}));
}

// The definition as it reads: of all neighbours that are a piece together the best, the leftmost of equals.
std::vector<std::int32_t> joined_plainly(const std::vector<Entry>& entries,
                                         std::vector<std::string> symbols) {
  const auto id_of = [&](const std::string& text) {
    const auto found = std::ranges::find(entries, text, &Entry::text);
    return found == entries.end() || found->type != 1 ? -1
                                                      : static_cast<std::int32_t>(found - entries.begin());
  };
  for (;;) {
    std::size_t best = symbols.size();
    float score = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const std::int32_t id = id_of(symbols[i] + symbols[i + 1]);
      if (id < 0) continue;
      const float found = entries[static_cast<std::size_t>(id)].score;
      if (best == symbols.size() || found > score) best = i, score = found;
    }
    if (best == symbols.size()) break;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  std::vector<std::int32_t> ids;
  for (const std::string& symbol : symbols) ids.push_back(std::max(id_of(symbol), 0));
  return ids;
}

TEST(Spm, RandomVocabulariesFollowTheDefinition) {
  const std::vector<std::string> alphabet{"a", "b", "\xE2\x96\x81", "\u00e9", "\u4e2d", "\U0001F600"};
  std::mt19937 random(1);
  const auto integer = [&](int first, int last) {
    return first + static_cast<int>(random() % static_cast<unsigned>(last - first + 1));
  };
  for (int round = 0; round < 60; ++round) {
    std::vector<Entry> entries{{"<unk>", 2}};
    const auto some = [&](int most) {
      std::vector<std::string> characters;
      for (int n = integer(1, most); n > 0; --n)
        characters.push_back(alphabet[static_cast<std::size_t>(integer(0, 5))]);
      return characters;
    };
    for (int n = integer(0, 40); n > 0; --n) {
      std::string text;
      for (const std::string& character : some(4)) text += character;
      if (std::ranges::find(entries, text, &Entry::text) == entries.end())
        entries.push_back({text, 1, static_cast<float>(integer(-4, 4))});
    }
    const test::Loaded spm = test::load([&](GgufWriter& writer) {
      test::set_entries(writer, entries);
      writer.set("tokenizer.ggml.model", "llama");
      writer.set("tokenizer.ggml.add_space_prefix", false);
      writer.set("tokenizer.ggml.unknown_token_id", std::uint32_t{0});
    });
    for (int n = 0; n < 20; ++n) {
      const std::vector<std::string> symbols = some(40);
      std::string text;
      for (const std::string& symbol : symbols) text += symbol == alphabet[2] ? " " : symbol;
      EXPECT_EQ(plain_ids(*spm, text), joined_plainly(entries, symbols)) << text;
    }
  }
}

TEST(Spm, RoleTokensOfPhi3SwallowTheSpaceAfterThem) {
  const auto tokenizer = test::load_spm(
      spm_entries({{"\xE2\x96\x81", 1, -9}, {"a", 1, -9}, {"<|user|>", control}}), [](GgufWriter& w) {
        w.set("general.name", "My Phi-3 mini");
        w.set("tokenizer.ggml.add_space_prefix", false);
      });
  EXPECT_EQ(plain_ids(*tokenizer, "<|user|> \n a"), Ids({first_piece + 2, first_piece + 1}));
  EXPECT_EQ(plain_ids(*tokenizer, "<s> a"), Ids({1, first_piece, first_piece + 1}));
}

}  // namespace
}  // namespace rf
