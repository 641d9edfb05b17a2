// WordPiece on small made-up vocabularies.
#include <gtest/gtest.h>

#include "text/bert_words.h"
#include "vocabulary_file.h"

namespace rf {
namespace {

using test::Ids;
using test::plain_ids;

constexpr std::int32_t unknown = 1, first_piece = 5;
constexpr BertWords uncased{.lower = true, .strip_accents = true},
    cased{.lower = false, .strip_accents = false};

std::string start(const std::string& text) {
  return "\xE2\x96\x81" + text;
}

test::Loaded small(const std::function<void(GgufWriter&)>& extra = [](GgufWriter&) {}) {
  return test::load_wpm({{start("un")}, {"able"}, {"a"}, {start("a")}, {start(",")}, {start("A")}}, extra);
}

TEST(Wpm, TakesTheLongestPieceOrCallsTheWordUnknown) {
  const auto tokenizer = small();
  EXPECT_EQ(plain_ids(*tokenizer, "unable"), Ids({first_piece, first_piece + 1}));
  EXPECT_EQ(plain_ids(*tokenizer, "una,a"),
            Ids({first_piece, first_piece + 2, first_piece + 4, first_piece + 3}));
  EXPECT_EQ(plain_ids(*tokenizer, "unq a"), Ids({unknown, first_piece + 3}));
  EXPECT_EQ(plain_ids(*tokenizer, "able"), Ids({unknown})) << "a continuation starts no word";
  EXPECT_EQ(plain_ids(*tokenizer, " \t\n"), Ids());
  EXPECT_EQ(tokenizer->encode("a"), Ids({2, first_piece + 3, 3}));
  EXPECT_EQ(plain_ids(*tokenizer, "a[MASK]a"), Ids({first_piece + 3, 4, first_piece + 3}));
}

TEST(Wpm, WordsOfMoreThan100CharactersAreUnknown) {
  const auto tokenizer = small();
  EXPECT_EQ(plain_ids(*tokenizer, "un" + std::string(98, 'a')).size(), 99u);
  EXPECT_EQ(plain_ids(*tokenizer, "un" + std::string(99, 'a')), Ids({unknown}));
}

TEST(Wpm, ReadsVocabulariesThatMarkContinuations) {
  const auto tokenizer = test::load_wpm({{"un"}, {"##able"}, {"a"}});
  EXPECT_EQ(plain_ids(*tokenizer, "unable a"), Ids({first_piece, first_piece + 1, first_piece + 2}));
  EXPECT_EQ(tokenizer->decode(Ids{first_piece, first_piece + 1, first_piece + 2}), "unable a");
}

TEST(Wpm, FollowsTheFilesNormaliser) {
  EXPECT_EQ(plain_ids(*small(), "A"), Ids({first_piece + 3}));
  const auto keeps_case = small([](GgufWriter& w) { w.set("tokenizer.ggml.normalizer.lowercase", false); });
  EXPECT_EQ(plain_ids(*keeps_case, "A a"), Ids({first_piece + 5, first_piece + 3}));
}

TEST(Wpm, PutsItsLayoutAroundATextWhateverTheFlags) {
  const auto tokenizer = small([](GgufWriter& w) {
    w.set("tokenizer.ggml.add_bos_token", false);
    w.set("tokenizer.ggml.add_eos_token", false);
    w.set("tokenizer.ggml.add_sep_token", false);
  });
  EXPECT_EQ(tokenizer->encode("a"), Ids({2, first_piece + 3, 3}));
  EXPECT_EQ(plain_ids(*tokenizer, "a"), Ids({first_piece + 3}));
}

TEST(Wpm, PairsShareOneBeginning) {
  EXPECT_EQ(small()->encode_pair("a", "un"), Ids({2, first_piece + 3, 3, first_piece, 3}));
  EXPECT_EQ(small()->encode_pair("[SEP]a", "")[0], 2);
  EXPECT_NE(small()->encode_pair("[SEP]a", "")[1], 3) << "tokens written in a text are text";
  const auto both = small([](GgufWriter& w) { w.set("tokenizer.ggml.add_eos_token", true); });
  EXPECT_EQ(both->encode_pair("a", "un"), Ids({2, first_piece + 3, 3, first_piece, 3}));
}

TEST(Wpm, DecodesWithSpacesBetweenWords) {
  const auto tokenizer = small();
  const Ids ids = {2, first_piece, first_piece + 1, first_piece + 4, first_piece + 3, 3};
  EXPECT_EQ(tokenizer->decode(ids), "[CLS] unable, a [SEP]");
  EXPECT_EQ(tokenizer->decode(ids, false), "unable, a");
}

TEST(BertWords, CleansLowersAndStrips) {
  EXPECT_EQ(uncased.normalised("\xC3\x89t\xC3\xA9 I\xCC\x81"), "ete i");
  EXPECT_EQ(cased.normalised("\xC3\x89t\xC3\xA9"), "\xC3\x89t\xC3\xA9");
  EXPECT_EQ(cased.normalised("a\xE2\x80\x8D\x07"
                             "b\xEF\xBF\xBD\tc\xE3\x80\x80"
                             "d"),
            "ab c d")
      << "controls, format characters and U+FFFD go, white space becomes U+0020";
  EXPECT_EQ(uncased.normalised("a\xE4\xB8\xAD"
                               "b"),
            "a \xE4\xB8\xAD b");
  const BertWords lowers{.lower = true, .strip_accents = false};
  EXPECT_EQ(lowers.normalised("\xC4\xB0\xCE\xA3"), "i\xCC\x87\xCF\x83") << "each character by itself";
}

TEST(BertWords, PunctuationStandsAlone) {
  EXPECT_EQ(bert_words("a$b \xE2\x82\xAC"
                       "5\xE3\x80\x82!x"),
            (std::vector<std::string_view>{"a", "$", "b",
                                           "\xE2\x82\xAC"
                                           "5",
                                           "\xE3\x80\x82", "!", "x"}));
}

}  // namespace
}  // namespace rf
