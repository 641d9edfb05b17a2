#include "chat/grammar/token_grammar.h"

#include <algorithm>
#include <unordered_map>

namespace rf::grammar {
namespace {

class Matcher : public TokenMatcher {
 public:
  explicit Matcher(std::shared_ptr<const TokenGrammar> grammar)
      : grammar_(std::move(grammar)), machine_(grammar_->automaton()), set_(machine_.start()) {}

  void mask(std::span<std::uint64_t> allowed) override;
  bool accept(std::int32_t token) override;
  bool ended() const override;

 private:
  static constexpr std::size_t most_masks = 64, most_sets = 100'000;

  bool complete() const { return machine_.has(set_, Automaton::bottom); }

  std::shared_ptr<const TokenGrammar> grammar_;
  Machine machine_;
  SetId set_;
  bool ended_ = false;
  std::unordered_map<SetId, std::shared_ptr<const Masks::Mask>> masks_;  // of sets seen lately
};

void Matcher::mask(std::span<std::uint64_t> allowed) {
  std::ranges::fill(allowed, 0);
  if (ended_) return;
  if (machine_.sets() > most_sets) {
    set_ = machine_.compact(set_);
    masks_.clear();
  }
  auto at = masks_.find(set_);
  if (at == masks_.end()) {
    if (masks_.size() >= most_masks) masks_.clear();
    at = masks_.emplace(set_, grammar_->masks().mask(machine_, set_)).first;
  }
  std::ranges::copy(*at->second, allowed.begin());
  if (!complete()) return;
  for (const std::int32_t token : grammar_->trie().ends())
    allowed[static_cast<std::size_t>(token) / 64] |= std::uint64_t{1} << (token % 64);
}

bool Matcher::accept(std::int32_t token) {
  const TokenTrie& trie = grammar_->trie();
  if (ended_ || token < 0 || token >= trie.vocab_size()) return false;
  if (std::ranges::find(trie.ends(), token) != trie.ends().end()) return ended_ = complete();
  SetId next = trie.piece(token).empty() ? StackSets::none : set_;
  for (const char c : trie.piece(token))
    if (next != StackSets::none) next = machine_.step(next, static_cast<std::uint8_t>(c));
  if (next == StackSets::none) return false;
  set_ = next;
  return true;
}

bool Matcher::ended() const {
  return ended_ || (grammar_->trie().ends().empty() && complete() && machine_.entries(set_).size() == 1);
}

}  // namespace

std::shared_ptr<const TokenGrammar> TokenGrammar::make(const Rules& rules,
                                                       std::shared_ptr<const TokenTrie> trie) {
  Automaton automaton = make_automaton(rules, trie->alphabet());
  return std::shared_ptr<const TokenGrammar>(new TokenGrammar(std::move(automaton), std::move(trie)));
}

std::unique_ptr<TokenMatcher> TokenGrammar::start() const {
  return std::make_unique<Matcher>(shared_from_this());
}

}  // namespace rf::grammar
