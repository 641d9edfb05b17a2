// Grammars over small and real vocabularies, walked by chance.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "chat/grammar/token_grammar.h"
#include "gguf/gguf.h"
#include "golden.h"

namespace rf::test {

using grammar::Rules;
using grammar::TokenGrammar;
using grammar::TokenTrie;
using Trie = std::shared_ptr<const TokenTrie>;

// All bytes, some longer tokens, and an end, which is the last.
inline Trie byte_trie(const std::vector<std::string>& more = {}) {
  std::vector<std::string> pieces;
  for (int b = 0; b < 256; ++b) pieces.emplace_back(1, static_cast<char>(b));
  pieces.insert(pieces.end(), more.begin(), more.end());
  pieces.emplace_back();
  const auto end = static_cast<std::int32_t>(pieces.size()) - 1;
  return std::make_shared<const TokenTrie>(std::move(pieces), std::vector<std::int32_t>{end});
}

inline Trie mixed_trie() {
  return byte_trie({"\": \"", "\":", "{\"", "\"}", "\"]", "\", \"", "true",     "false",    "null",
                    "12",     "345", "  ",  "\n ", "ab",  "abc",    "\xC3\xA9", "\xE2\x82", "}}",
                    "],",     "a\"", "0.",  "-1",  "e1",  "\\u00",  "\\n",      "ab\",",    "xyz"});
}

inline Trie golden_trie(const std::string& name) {
  const std::string path = golden("tokenizer/" + name);
  if (path.empty()) return nullptr;
  const Gguf file = Gguf::open(path);
  return std::make_shared<const TokenTrie>(*Tokenizer::from(file));
}

// Whether the whole of `text` is allowed.
inline bool allows(const TokenGrammar& grammar, std::string_view text) {
  grammar::Machine machine(grammar.automaton());
  grammar::SetId set = machine.start();
  for (const char c : text) set = machine.step(set, static_cast<std::uint8_t>(c));
  return machine.has(set, grammar::Automaton::bottom);
}

inline bool bit(const std::vector<std::uint64_t>& mask, std::int32_t token) {
  return (mask[static_cast<std::size_t>(token) / 64] >> (token % 64) & 1) != 0;
}

// What feeding each token's bytes says about it.
inline std::vector<std::uint64_t> brute_mask(const TokenGrammar& grammar, grammar::Machine& machine,
                                             grammar::SetId set) {
  const TokenTrie& trie = grammar.trie();
  std::vector<std::uint64_t> mask((static_cast<std::size_t>(trie.vocab_size()) + 63) / 64, 0);
  const auto allow = [&](std::int32_t t) {
    mask[static_cast<std::size_t>(t) / 64] |= std::uint64_t{1} << (t % 64);
  };
  for (std::int32_t token = 0; token < trie.vocab_size(); ++token) {
    grammar::SetId at = trie.piece(token).empty() ? grammar::StackSets::none : set;
    for (const char c : trie.piece(token))
      if (at != grammar::StackSets::none) at = machine.step(at, static_cast<std::uint8_t>(c));
    if (at != grammar::StackSets::none) allow(token);
  }
  if (machine.has(set, grammar::Automaton::bottom))
    for (const std::int32_t token : trie.ends()) allow(token);
  return mask;
}

// How many frames lie between a set's lowest top and the bottom.
inline int depth_of(grammar::Machine& machine, grammar::SetId set, std::map<grammar::SetId, int>& known) {
  const auto at = known.find(set);
  if (at != known.end()) return at->second;
  int least = set == grammar::StackSets::none ? 0 : 1'000'000;
  for (const auto& entry : machine.entries(set))
    least = std::min(least, 1 + depth_of(machine, entry.below, known));
  return known[set] = least;
}

// Short bytes after which `set` is complete: a search that looks at low stacks first.
inline std::string short_end(grammar::Machine& machine, grammar::SetId set) {
  std::map<grammar::SetId, int> depths;
  std::map<grammar::SetId, std::string> seen{{set, ""}};
  std::multimap<std::size_t, grammar::SetId> due{{0, set}};
  while (!due.empty() && seen.size() < 100'000) {
    const grammar::SetId at = due.begin()->second;
    const std::string bytes = seen[at];
    due.erase(due.begin());
    if (machine.has(at, grammar::Automaton::bottom)) return bytes;
    for (int b = 0; b < 256; ++b) {
      const grammar::SetId next = machine.step(at, static_cast<std::uint8_t>(b));
      if (next != grammar::StackSets::none && seen.emplace(next, bytes + static_cast<char>(b)).second)
        due.emplace(bytes.size() + 8 * static_cast<std::size_t>(depth_of(machine, next, depths)), next);
    }
  }
  ADD_FAILURE() << "a dead end";
  return "";
}

// Chooses among allowed tokens by chance for `most` tokens, then takes a short way to the end. Every
// mask has a token, and every `check_every`th is what feeding the tokens' bytes says. Returns the text.
inline std::string random_text(const TokenGrammar& grammar, unsigned seed, int most = 40,
                               int check_every = 7) {
  std::mt19937 random(seed);
  const TokenTrie& trie = grammar.trie();
  const auto matcher = grammar.start();
  grammar::Machine machine(grammar.automaton());
  grammar::SetId set = machine.start();
  std::vector<std::uint64_t> mask((static_cast<std::size_t>(trie.vocab_size()) + 63) / 64);
  std::string text;
  for (int i = 0; i < most; ++i) {
    matcher->mask(mask);
    if (i % check_every == 0) {
      EXPECT_EQ(mask, brute_mask(grammar, machine, set)) << text;
    }
    std::vector<std::int32_t> allowed;
    for (std::int32_t token = 0; token < trie.vocab_size(); ++token)
      if (bit(mask, token)) allowed.push_back(token);
    if (allowed.empty()) {
      ADD_FAILURE() << "nothing is allowed after: " << text;
      return text;
    }
    const std::int32_t token = allowed[random() % allowed.size()];
    const std::string_view piece = trie.piece(token);
    EXPECT_TRUE(matcher->accept(token)) << text;
    if (piece.empty()) {
      EXPECT_TRUE(allows(grammar, text)) << text;
      EXPECT_TRUE(matcher->ended());
      return text;
    }
    text += piece;
    for (const char c : piece) set = machine.step(set, static_cast<std::uint8_t>(c));
  }
  text += short_end(machine, set);
  EXPECT_TRUE(allows(grammar, text)) << text;
  return text;
}

}  // namespace rf::test
