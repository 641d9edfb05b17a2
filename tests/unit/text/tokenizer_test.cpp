// Rules and edge cases on small made-up vocabularies.
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "base/error.h"
#include "vocabulary_file.h"

namespace rf {
namespace {

using test::control;
using test::Ids;
using test::plain_ids;
using test::single_byte;
using test::spm_entries;
using test::unused;
using test::user_defined;

// The message of the Error that loading gives, "" when it gives none.
std::string refusal(const std::function<void(GgufWriter&)>& fill) {
  try {
    test::load(fill);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::function<void(GgufWriter&)> bpe_with(const std::function<void(GgufWriter&)>& change) {
  return [change](GgufWriter& writer) {
    writer.set("tokenizer.ggml.model", "gpt2");
    writer.set("tokenizer.ggml.pre", "gpt-2");
    test::set_entries(writer, test::byte_entries());
    writer.set("tokenizer.ggml.merges", std::vector<std::string>{});
    change(writer);
  };
}

void expect_named(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos)
      << "message: \"" << message << "\", expected in it: " << part;
}

TEST(TokenizerErrors, NameTheKeyAndWhatIsKnown) {
  expect_named(refusal([](GgufWriter&) {}), "tokenizer.ggml.model");
  const std::string model = refusal(bpe_with([](GgufWriter& w) { w.set("tokenizer.ggml.model", "rwkv9"); }));
  expect_named(model, "gpt2, llama, bert, t5, rwkv, plamo2 or gemma4");
  expect_named(model, "rwkv9");
  const std::string pre = refusal(bpe_with([](GgufWriter& w) { w.set("tokenizer.ggml.pre", "future-bpe"); }));
  expect_named(pre, "tokenizer.ggml.pre");
  expect_named(pre, "llama-bpe, ");
  expect_named(pre, "future-bpe");
  expect_named(refusal([](GgufWriter& w) { w.set("tokenizer.ggml.model", "gpt2"); }),
               "tokenizer.ggml.tokens");
  expect_named(refusal([](GgufWriter& w) {
                 w.set("tokenizer.ggml.model", "gpt2");
                 w.set("tokenizer.ggml.tokens", std::vector<std::string>{"a"});
               }),
               "tokenizer.ggml.merges");
  expect_named(refusal([](GgufWriter& w) {
                 w.set("tokenizer.ggml.model", "llama");
                 w.set("tokenizer.ggml.tokens", std::vector<std::string>{"a"});
               }),
               "tokenizer.ggml.scores");
}

TEST(TokenizerErrors, RefuseContradictions) {
  const auto with = [](const std::function<void(GgufWriter&)>& change) { return refusal(bpe_with(change)); };
  EXPECT_EQ(with([](GgufWriter&) {}), "");
  expect_named(with([](GgufWriter& w) { w.set("tokenizer.ggml.tokens", std::vector<std::string>{}); }),
               "tokenizer.ggml.tokens");
  expect_named(with([](GgufWriter& w) { w.set("tokenizer.ggml.token_type", Ids(255, 1)); }), "found 255");
  expect_named(with([](GgufWriter& w) { w.set("tokenizer.ggml.token_type", Ids(256, 7)); }), "found 7");
  expect_named(with([](GgufWriter& w) { w.set("tokenizer.ggml.scores", std::vector<float>(3)); }), "found 3");
  expect_named(with([](GgufWriter& w) { w.set("tokenizer.ggml.bos_token_id", std::uint32_t{256}); }),
               "found 256");
  expect_named(with([](GgufWriter& w) { w.set("tokenizer.ggml.eos_token_id", std::int32_t{-5}); }),
               "found -5");
  expect_named(with([](GgufWriter& w) { w.set("tokenizer.ggml.eot_token_id", std::uint32_t{999}); }),
               "tokenizer.ggml.eot_token_id");
  expect_named(with([](GgufWriter& w) { w.set("tokenizer.ggml.bos_token_id", "one"); }),
               "tokenizer.ggml.bos_token_id");
  for (const char* merge : {"", "ab", "a ", " "})
    expect_named(
        with([&](GgufWriter& w) { w.set("tokenizer.ggml.merges", std::vector<std::string>{"a b", merge}); }),
        "entry 1");
  const std::string bytes = refusal([](GgufWriter& w) {
    w.set("tokenizer.ggml.model", "llama");
    test::set_entries(w, {{"<0xZZ>", single_byte}});
  });
  expect_named(bytes, "<0xZZ>");
}

TEST(Tokenizer, AbsentIdsMayBeStoredAsMinusOne) {
  const auto tokenizer = test::load(bpe_with([](GgufWriter& w) {
    w.set("tokenizer.ggml.bos_token_id", std::int32_t{-1});
    w.set("tokenizer.ggml.eos_token_id", ~std::uint32_t{0});
    w.set("tokenizer.ggml.add_bos_token", true);
  }));
  EXPECT_EQ(tokenizer->bos(), -1);
  EXPECT_EQ(tokenizer->eos(), -1);
  EXPECT_EQ(tokenizer->encode("a"), Ids({'a' - '!' + 33}));
}

TEST(Bpe, MergesByRankThenFromTheLeft) {
  const auto tokenizer = test::load_bpe({{"ab"}, {"bc"}, {"abc"}, {"aa"}}, {"b c", "a b", "a bc", "a a"});
  EXPECT_EQ(plain_ids(*tokenizer, "abc"), Ids({258}));
  EXPECT_EQ(plain_ids(*tokenizer, "ab"), Ids({256}));
  EXPECT_EQ(plain_ids(*tokenizer, "aaaaa"), Ids({259, 259, tokenizer->find("a")}));
}

TEST(Bpe, WholeWordsComeFirstOnlyWhereTheFamilySaysSo) {
  const std::vector<Entry> word = {{"xyz"}};
  EXPECT_EQ(plain_ids(*test::load_bpe(word, {}, "llama-bpe"), "xyz"), Ids({256}));
  EXPECT_EQ(plain_ids(*test::load_bpe(word, {}, "gpt-2"), "xyz").size(), 3u);
}

TEST(Bpe, OddVocabulariesGiveSaneIds) {
  // The second "ab" never comes out; merges with unknown texts never apply; of two ranks the first counts.
  const auto tokenizer = test::load_bpe({{"ab"}, {"ab"}, {"bc"}}, {"q9 z", "a q", "b c", "a b", "b c"});
  EXPECT_EQ(plain_ids(*tokenizer, "ab"), Ids({256}));
  EXPECT_EQ(tokenizer->find("ab"), 256);
  EXPECT_EQ(plain_ids(*tokenizer, "abc"), Ids({tokenizer->find("a"), 258}));
  EXPECT_EQ(tokenizer->decode(Ids{257}), "ab");
}

TEST(Bpe, BytesWithoutATokenAreLeftOut) {
  const auto tokenizer = test::load([](GgufWriter& writer) {
    writer.set("tokenizer.ggml.model", "gpt2");
    writer.set("tokenizer.ggml.tokens", std::vector<std::string>{"a", "c", "ac", ""});
    writer.set("tokenizer.ggml.merges", std::vector<std::string>{"a c"});
  });
  EXPECT_EQ(plain_ids(*tokenizer, "abc b"), Ids({2}));
}

TEST(AddedTokens, TheLeftmostThenTheLongestCounts) {
  const auto tokenizer = test::load_bpe(
      {{"<a>", control}, {"<a><b>", control}, {"<b>", control}, {"x<", user_defined}, {"<|", control}}, {});
  EXPECT_EQ(plain_ids(*tokenizer, "<a><b>"), Ids({257}));
  EXPECT_EQ(plain_ids(*tokenizer, "<b><a>"), Ids({258, 256}));
  EXPECT_EQ(plain_ids(*tokenizer, "x<b>"), Ids({259, tokenizer->find("b"), tokenizer->find(">")}));
  EXPECT_EQ(plain_ids(*tokenizer, "<|<a>").size(), 2u);
  EXPECT_EQ(plain_ids(*tokenizer, "<a").size(), 2u);
}

TEST(AddedTokens, OnlyUserDefinedOnesAreFoundInPlainText) {
  const auto tokenizer =
      test::load_bpe({{"<s>", control}, {"<s><t>", user_defined}, {"<t>", user_defined}}, {});
  const EncodeOptions plain{.add_special = false, .parse_special = false};
  EXPECT_EQ(tokenizer->encode("<s>", plain).size(), 3u);
  EXPECT_EQ(tokenizer->encode("<t>", plain), Ids({258}));
  EXPECT_EQ(tokenizer->encode("<s><t>", plain), Ids({257}));
  EXPECT_EQ(tokenizer->encode("", plain), Ids());
}

TEST(Tokenizer, AddsWhatTheFlagsSay) {
  const auto set = [](GgufWriter& w) {
    w.set("tokenizer.ggml.bos_token_id", std::uint32_t{256});
    w.set("tokenizer.ggml.eos_token_id", std::uint32_t{257});
    w.set("tokenizer.ggml.add_bos_token", true);
    w.set("tokenizer.ggml.add_eos_token", true);
  };
  const auto tokenizer = test::load_bpe({{"<s>", control}, {"</s>", control}}, {}, "gpt-2", set);
  EXPECT_EQ(tokenizer->encode(""), Ids({256, 257}));
  EXPECT_EQ(tokenizer->encode("", {.add_special = false}), Ids());
  EXPECT_TRUE(tokenizer->add_bos());
}

TEST(Tokenizer, KnowsEndsBeyondEos) {
  const auto tokenizer =
      test::load_bpe({{"<|im_end|>", control}, {"</s>"}, {"<|end|>", user_defined}, {"q", control}}, {},
                     "gpt-2", [](GgufWriter& w) {
                       w.set("tokenizer.ggml.eos_token_id", std::uint32_t{5});
                       w.set("tokenizer.ggml.eot_token_id", std::uint32_t{6});
                       w.set("tokenizer.ggml.fim_sep_token_id", std::uint32_t{7});
                     });
  Ids ends;
  for (std::int32_t id = -1; id <= tokenizer->vocab_size(); ++id)
    if (tokenizer->is_end_of_generation(id)) ends.push_back(id);
  EXPECT_EQ(ends, Ids({5, 6, 7, 256, 258})) << "an ordinary token's text ends nothing";
  EXPECT_TRUE(tokenizer->is_special(258)) << "a user must not be able to write a turn's end as plain text";
}

TEST(Tokenizer, OrdinaryTokensThatCanOnlyBeEndsAreEnds) {
  const auto tokenizer = test::load_bpe({{"<|im_end|>"}, {"</s>"}}, {});
  EXPECT_TRUE(tokenizer->is_end_of_generation(256));
  EXPECT_EQ(tokenizer->encode("a<|im_end|>"), Ids({'a', 256}));
  EXPECT_GT(tokenizer->encode("<|im_end|>", {.add_special = false, .parse_special = false}).size(), 5u);
  EXPECT_FALSE(tokenizer->is_end_of_generation(257));
}

TEST(Tokenizer, HtmlOfGemma4EndsNothing) {
  const std::vector<Entry> tokens = {{"</s>", user_defined}};
  EXPECT_TRUE(test::load_bpe(tokens, {})->is_end_of_generation(256));
  std::vector<Entry> gemma = tokens;
  gemma.push_back({"<|tool_response>", control});
  const auto tokenizer = test::load_bpe(gemma, {});
  EXPECT_FALSE(tokenizer->is_end_of_generation(256));
  EXPECT_TRUE(tokenizer->is_end_of_generation(257));
}

TEST(Tokenizer, HarmonyMessagesEndWithoutEndingTheAnswer) {
  const auto tokenizer =
      test::load_bpe({{"<|end|>", control}, {"<|return|>", control}, {"<|call|>", control}}, {});
  EXPECT_FALSE(tokenizer->is_end_of_generation(256));
  EXPECT_TRUE(tokenizer->is_end_of_generation(257));
  EXPECT_TRUE(tokenizer->is_end_of_generation(258));
}

TEST(Tokenizer, PiecesOfEveryKind) {
  const auto tokenizer = test::load_bpe(
      {{"\xC4\xA0hi"}, {"<c>", control}, {"<u>", user_defined}, {"pad", unused}, {"<0x41>", single_byte}},
      {});
  EXPECT_EQ(tokenizer->piece(256), " hi");
  EXPECT_EQ(tokenizer->piece(257), "<c>");
  EXPECT_EQ(tokenizer->piece(257, false), "");
  EXPECT_EQ(tokenizer->piece(258, false), "<u>");
  EXPECT_EQ(tokenizer->piece(259), "");
  EXPECT_EQ(tokenizer->piece(260), "A");
  for (const std::int32_t id :
       {-1, 261, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()}) {
    EXPECT_EQ(tokenizer->piece(id), "");
    EXPECT_EQ(tokenizer->token_text(id), "");
    EXPECT_FALSE(tokenizer->is_special(id));
  }
  EXPECT_EQ(tokenizer->decode(Ids{256, -7, 257, 260}, false), " hiA");
  EXPECT_EQ(tokenizer->find("none"), -1);
}

TEST(Detokenizer, HoldsBackPartsOfCharacters) {
  const auto tokenizer = test::load_bpe({}, {});
  const Ids ids = plain_ids(*tokenizer, "a\xE2\x82\xAC!");
  Detokenizer detokenizer(*tokenizer);
  EXPECT_EQ(detokenizer.push(ids[0]), "a");
  EXPECT_EQ(detokenizer.push(ids[1]), "");
  EXPECT_EQ(detokenizer.push(ids[2]), "");
  EXPECT_EQ(detokenizer.push(ids[3]), "\xE2\x82\xAC");
  EXPECT_EQ(detokenizer.push(ids[1]), "");
  EXPECT_EQ(detokenizer.push(ids[4]), "\xEF\xBF\xBD!");
  EXPECT_EQ(detokenizer.push(ids[1]), "");
  EXPECT_EQ(detokenizer.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(Tokenizer, IllFormedTextCountsAsReplacementCharacters) {
  const auto tokenizer = test::load_bpe({}, {});
  EXPECT_EQ(plain_ids(*tokenizer, "a\xFF\xE2\x82"), plain_ids(*tokenizer, "a\xEF\xBF\xBD\xEF\xBF\xBD"));
}

TEST(Gemma4, MergesCharactersByRankAndFallsBackToBytes) {
  const std::string mark = "\xE2\x96\x81";
  const auto tokenizer = test::load([&](GgufWriter& writer) {
    writer.set("tokenizer.ggml.model", "gemma4");
    test::set_entries(
        writer, spm_entries({{mark}, {"a"}, {"b"}, {mark + "a"}, {"ab"}, {"a" + mark}, {"\n\n"}, {"\n"}}));
    writer.set("tokenizer.ggml.merges", std::vector<std::string>{"a b", mark + " a", "\n \n", "a " + mark});
  });
  EXPECT_EQ(plain_ids(*tokenizer, " ab a"), Ids({first_piece, first_piece + 4, first_piece + 3}));
  EXPECT_EQ(plain_ids(*tokenizer, "a b"), Ids({first_piece + 5, first_piece + 2}));
  EXPECT_EQ(plain_ids(*tokenizer, "\n\n\xC3\xA9"),
            Ids({first_piece + 6, zero_byte + 0xC3, zero_byte + 0xA9}));
  EXPECT_EQ(tokenizer->decode(plain_ids(*tokenizer, " a  \xC3\xA9")), " a  \xC3\xA9");
}

TEST(Gemma4, BeginsWithBosWhateverTheFlag) {
  const auto load = [](const char* model, const char* pre) {
    return test::load([&](GgufWriter& writer) {
      writer.set("tokenizer.ggml.model", model);
      writer.set("tokenizer.ggml.pre", pre);
      test::set_entries(writer, spm_entries({{"a"}}));
      writer.set("tokenizer.ggml.merges", std::vector<std::string>{});
      writer.set("tokenizer.ggml.bos_token_id", std::uint32_t{1});
      writer.set("tokenizer.ggml.add_bos_token", false);
    });
  };
  EXPECT_EQ(load("gemma4", "default")->encode("a"), Ids({1, first_piece}));
  EXPECT_EQ(load("gpt2", "gemma4")->encode("a"), Ids({1, first_piece}));
  EXPECT_EQ(load("gpt2", "sarvam-moe")->encode("a"), Ids({first_piece}));
}

TEST(Tokenizer, KnowsWhatIsNotToBeGenerated) {
  const auto named = test::load_bpe({}, {}, "gpt-2", [](GgufWriter& w) {
    w.set("tokenizer.ggml.suppress_tokens", std::vector<std::int32_t>{7, 256, -1, 9});
  });
  EXPECT_TRUE(std::ranges::equal(named->suppressed(), Ids({7, 9})));
  const auto chameleon = test::load_bpe({{"IMGIMGAAZ"}, {"IMG"}, {"IMGIMGBCZ"}}, {}, "chameleon");
  EXPECT_TRUE(std::ranges::equal(chameleon->suppressed(), Ids({256, 258})));
}

// Each of these is hopeless for an algorithm that is quadratic in the text or in a word.
TEST(Tokenizer, HostileTextsTakeAboutLinearTime) {
  constexpr std::size_t size = 250000;
  std::string mixed, letters, marks;
  std::uint32_t state = 1;
  while (letters.size() < size) {
    state = state * 1103515245 + 12345;
    letters += static_cast<char>('a' + (state >> 16) % 26);
    mixed += "\t \n "[state >> 20 & 3];
    marks += state >> 16 & 1 ? "\xCC\x81" : "\xCC\xA7";
  }
  const std::vector<std::string> texts = {std::string(size, 'a'),
                                          std::string(size, ' '),
                                          std::string(size, ' ') + "x",
                                          std::string(size, '\n'),
                                          std::string(size, '7'),
                                          std::string(size, '!'),
                                          letters,
                                          mixed + "x",
                                          marks};
  for (const char* pre :
       {"default", "gpt-2",        "falcon",         "llama-bpe",   "qwen2",      "qwen35",    "gpt-4o",
        "tekken",  "deepseek-llm", "deepseek-coder", "deepseek-v3", "bloom",      "chameleon", "starcoder",
        "kimi-k2", "superbpe",     "tiny_aya",       "afmoe",       "exaone-moe", "jais-2",    "youtu"}) {
    const auto tokenizer = test::load_bpe({{"aa"}, {"aaaa"}, {"\xC4\xA0\xC4\xA0"}, {"th"}},
                                          {"a a", "aa aa", "\xC4\xA0 \xC4\xA0", "t h"}, pre);
    for (const std::string& text : texts) {
      const auto start = std::chrono::steady_clock::now();
      const Ids ids = plain_ids(*tokenizer, text);
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10))
          << pre << ": " << text.substr(0, 8);
      if (pre != std::string("qwen2") && pre != std::string("qwen35") && pre != std::string("tiny_aya")) {
        EXPECT_TRUE(tokenizer->decode(ids) == text) << pre << ": " << text.substr(0, 8);
      }
    }
  }
}

}  // namespace
}  // namespace rf
