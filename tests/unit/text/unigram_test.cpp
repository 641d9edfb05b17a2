// Unigram, RWKV World and PLaMo 2 on small made-up vocabularies.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "base/error.h"
#include "text/byte_trie.h"
#include "vocabulary_file.h"

namespace rf {
namespace {

using test::Entry;
using test::Ids;
using test::plain_ids;

const std::string mark = "\xE2\x96\x81";

test::Loaded load(
    const char* model, const std::vector<Entry>& entries,
    const std::function<void(GgufWriter&)>& extra = [](GgufWriter&) {}) {
  return test::load([&](GgufWriter& writer) {
    writer.set("tokenizer.ggml.model", model);
    test::set_entries(writer, entries);
    extra(writer);
  });
}

// <pad>, </s> and <unk> are 0 to 2 as in T5, then these.
std::vector<Entry> t5(const std::vector<Entry>& more) {
  std::vector<Entry> entries = {{"<pad>", 3}, {"</s>", 3}, {"<unk>", 2}};
  entries.insert(entries.end(), more.begin(), more.end());
  return entries;
}

TEST(Unigram, PairsOfXlmRHaveTwoEndsBetweenThem) {
  const std::vector<Entry> entries = {{"<s>", 3},   {"<pad>", 3}, {"</s>", 3},
                                      {"<unk>", 2}, {mark + "a"}, {mark + "b"}};
  const auto ids = [](GgufWriter& w) {
    w.set("tokenizer.ggml.bos_token_id", std::uint32_t{0});
    w.set("tokenizer.ggml.eos_token_id", std::uint32_t{2});
    w.set("tokenizer.ggml.seperator_token_id", std::uint32_t{2});
    w.set("tokenizer.ggml.add_bos_token", true);
  };
  EXPECT_EQ(load("t5", entries, ids)->encode_pair("a", "b"), Ids({0, 4, 2, 2, 5, 2}));
  const auto told = load("t5", entries, [&](GgufWriter& w) {
    ids(w);
    w.set("tokenizer.ggml.add_sep_token", false);
  });
  EXPECT_EQ(told->encode_pair("a", "b"), Ids({0, 4, 2, 5, 2}));
  EXPECT_EQ(load("t5", t5({{mark + "a"}, {mark + "b"}}))->encode_pair("a", "b"), Ids({3, 1, 4, 1}));
}

TEST(Ugm, TakesTheBestSumOfScores) {
  const auto tokenizer = load("t5", t5({{mark, 1, -3},
                                        {"a", 1, -3},
                                        {"b", 1, -3},
                                        {mark + "a", 1, -4},
                                        {"ab", 1, -3.5f},
                                        {mark + "ab", 1, -9}}));
  EXPECT_EQ(plain_ids(*tokenizer, "ab"), Ids({3, 7})) << "-6.5 beats -7 and -9";
  EXPECT_EQ(plain_ids(*tokenizer, "a b"), Ids({6, 3, 5}));
  EXPECT_EQ(tokenizer->encode("ab"), Ids({3, 7, 1})) << "the family ends texts by default";
  EXPECT_EQ(tokenizer->decode(Ids{3, 7, 6}), "ab a");
}

TEST(Ugm, NeighbouringUnknownCharactersAreOne) {
  const auto tokenizer = load("t5", t5({{mark, 1, -3}, {"a", 1, -3}}));
  EXPECT_EQ(plain_ids(*tokenizer, "xya"), Ids({3, 2, 4}));
  EXPECT_EQ(plain_ids(*tokenizer, "axyaz"), Ids({3, 4, 2, 4, 2}));
}

// Also where the mark of a space is among them.
TEST(Ugm, UnknownCharactersAreOneAcrossWords) {
  const auto tokenizer = load("t5", t5({{"a", 1, -1}}));
  EXPECT_EQ(plain_ids(*tokenizer, "x y"), Ids({2}));
  EXPECT_EQ(plain_ids(*tokenizer, "x y a z"), Ids({2, 3, 2}));
}

TEST(Ugm, UnknownCharactersBecomeBytesWhereThereAreSome) {
  std::vector<Entry> entries = t5({{mark, 1, -3}});
  for (int i = 0; i < 256; ++i) entries.push_back({fmt::format("<0x{:02X}>", i), 6, 0});
  const auto tokenizer = load("t5", entries);
  EXPECT_EQ(plain_ids(*tokenizer, "\xC3\xA9"), Ids({3, 4 + 0xC3, 4 + 0xA9}));
  EXPECT_EQ(tokenizer->decode(plain_ids(*tokenizer, "\xC3\xA9!")), "\xC3\xA9!");
}

TEST(Ugm, SpacesFollowTheFlags) {
  const std::vector<Entry> entries = t5({{mark, 1, -3}, {"a", 1, -3}});
  EXPECT_EQ(plain_ids(*load("t5", entries), "  a  a "), Ids({3, 4, 3, 4}));
  EXPECT_EQ(plain_ids(*load("t5", entries), "  "), Ids());
  const auto flagged = [&](bool prefix, bool merge) {
    return load("t5", entries, [&](GgufWriter& w) {
      w.set("tokenizer.ggml.add_space_prefix", prefix);
      w.set("tokenizer.ggml.remove_extra_whitespaces", merge);
    });
  };
  EXPECT_EQ(plain_ids(*flagged(true, false), " a  a "), Ids({3, 3, 4, 3, 3, 4, 3}));
  EXPECT_EQ(plain_ids(*flagged(false, true), " a  a "), Ids({4, 3, 4}));
  EXPECT_EQ(plain_ids(*flagged(false, false), "a "), Ids({4, 3}));
}

// A double array of darts-clone with the one key "A", whose replacement is "a".
std::string charsmap() {
  const auto unit = [](std::uint32_t offset, std::uint32_t label, bool leaf) {
    return offset << 10 | (leaf ? 1u << 8 : 0u) | label;
  };
  std::vector<std::uint32_t> units(256, 0);
  units[0] = unit(1, 0, false);          // the root's children lie at 1 ^ byte
  units[1 ^ 'A'] = unit(2, 'A', true);   // its leaf lies at the node ^ 2
  units[(1 ^ 'A') ^ 2] = 1u << 31 | 1u;  // the value: where the replacement begins
  std::string bytes(4 + 4 * units.size(), '\0');
  const auto size = static_cast<std::uint32_t>(4 * units.size());
  std::memcpy(bytes.data(), &size, 4);
  std::memcpy(bytes.data() + 4, units.data(), size);
  return bytes + std::string("\0a\0", 3);
}

TEST(Ugm, NormalisesByTheFilesMap) {
  const auto with_map = [](const std::string& map) {
    return load("t5", t5({{mark, 1, -3}, {"a", 1, -3}}), [&](GgufWriter& w) {
      w.copy("tokenizer.ggml.precompiled_charsmap", {.type = ValueType::array,
                                                     .element = ValueType::u8,
                                                     .count = map.size(),
                                                     .bytes = std::as_bytes(std::span(map))});
    });
  };
  EXPECT_EQ(plain_ids(*with_map(charsmap()), "AaB"), Ids({3, 4, 4, 2}));
  EXPECT_THROW(with_map(std::string("\xFF\xFF\0\0abc", 7)), Error);
  EXPECT_THROW(with_map("ab"), Error);
}

TEST(Ugm, TheMaskTakesTheSpaceBeforeIt) {
  const auto tokenizer = load("t5", t5({{mark, 1, -3}, {"a", 1, -3}, {"<mask>", 3}}),
                              [](GgufWriter& w) { w.set("tokenizer.ggml.mask_token_id", std::uint32_t{5}); });
  EXPECT_EQ(plain_ids(*tokenizer, "a <mask> a"), Ids({3, 4, 5, 3, 4}));
}

TEST(Rwkv, AlwaysTakesTheLongestToken) {
  const auto tokenizer = load("rwkv", {{"<s>", 3},
                                       {"a"},
                                       {"ab"},
                                       {"abcd"},
                                       {"\\n"},
                                       {"\\xe4\\xb8"},
                                       {"\\xad"},
                                       {"\\'"},
                                       {"\\\\"},
                                       {"b"},
                                       {"c"}});
  EXPECT_EQ(plain_ids(*tokenizer, "abcabcd\n'\\"), Ids({2, 10, 3, 4, 7, 8}));
  EXPECT_EQ(plain_ids(*tokenizer, "\xE4\xB8\xAD"), Ids({5, 6}));
  EXPECT_EQ(tokenizer->decode(Ids{5, 6, 4, 7, 8}), "\xE4\xB8\xAD\n'\\");
  EXPECT_EQ(plain_ids(*tokenizer, "aza"), Ids({1, 1})) << "no token begins with z";
}

TEST(Plamo2, TakesTheCheapestCutAndFallsBackToBytes) {
  std::vector<Entry> entries = {{"<|plamo:unk|>", 2}, {"<|plamo:bos|>", 3}, {"<|plamo:eos|>", 3}};
  for (int i = 0; i < 256; ++i) entries.push_back({fmt::format("<0x{:02X}>", i), 6, 0});
  const std::int32_t first = 259;
  for (const Entry& entry : std::vector<Entry>{{"a", 1, -1}, {"ab", 1, -3}, {"b", 1, -1}, {"abc", 1, -2.5f}})
    entries.push_back(entry);
  const auto tokenizer = load("plamo2", entries);
  EXPECT_EQ(plain_ids(*tokenizer, "ab"), Ids({first, first + 2}));
  EXPECT_EQ(plain_ids(*tokenizer, "abc"), Ids({first + 3}));
  EXPECT_EQ(plain_ids(*tokenizer,
                      "\xC3\xA9"
                      "a"),
            Ids({3 + 0xC3, 3 + 0xA9, first}));
  EXPECT_EQ(plain_ids(*tokenizer,
                      "\xEF\xBB\xBF"
                      "a"),
            Ids({first}))
      << "a byte order mark at the beginning goes";
}

TEST(ByteTrie, FindsWhatAPlainSearchFinds) {
  std::mt19937 random(5);
  const auto word = [&](std::size_t most) {
    std::string text;
    for (std::size_t n = random() % most; n > 0; --n) text += static_cast<char>("ab\xFF"[random() % 3]);
    return text;
  };
  std::vector<std::string> texts(300);
  std::vector<ByteTrie::Key> keys;
  for (std::string& text : texts) {
    text = word(7);
    keys.push_back({text, static_cast<std::int32_t>(keys.size())});
  }
  const ByteTrie trie(keys);
  for (int i = 0; i < 1000; ++i) {
    const std::string text = word(12);
    std::vector<std::pair<std::size_t, std::int32_t>> wanted, got;
    for (std::size_t size = 1; size <= text.size(); ++size)
      if (const auto at = std::find(texts.begin(), texts.end(), text.substr(0, size)); at != texts.end())
        wanted.emplace_back(size, static_cast<std::int32_t>(at - texts.begin()));
    trie.prefixes(text, [&](std::size_t bytes, std::int32_t value) { got.emplace_back(bytes, value); });
    EXPECT_EQ(got, wanted);
  }
}

}  // namespace
}  // namespace rf
