// TokenGrammar: a grammar over a vocabulary, as the sampler sees it.
#pragma once
#include <memory>

#include "chat/grammar/masks.h"
#include "text/token_constraint.h"

namespace rf::grammar {

class TokenGrammar : public TokenConstraint, public std::enable_shared_from_this<TokenGrammar> {
 public:
  // Throws Error as make_automaton() does.
  static std::shared_ptr<const TokenGrammar> make(const Rules& rules, std::shared_ptr<const TokenTrie> trie);

  std::unique_ptr<TokenMatcher> start() const override;  // it keeps the grammar alive
  const Automaton& automaton() const { return automaton_; }
  const TokenTrie& trie() const { return *trie_; }
  const Masks& masks() const { return masks_; }

 private:
  TokenGrammar(Automaton automaton, std::shared_ptr<const TokenTrie> trie)
      : automaton_(std::move(automaton)), trie_(std::move(trie)), masks_(automaton_, trie_) {}

  Automaton automaton_;
  std::shared_ptr<const TokenTrie> trie_;
  Masks masks_;
};

}  // namespace rf::grammar
