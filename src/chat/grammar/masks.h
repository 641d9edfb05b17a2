// Masks: which tokens may come next, for any set of stacks of one grammar over one vocabulary.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "chat/grammar/machine.h"
#include "chat/grammar/token_trie.h"

namespace rf::grammar {

// Most of a mask depends on the top frame alone: which tokens stay within it, and where in the trie it may be
// left (the context-independent tokens of XGrammar, Dong et al. 2024). That part is kept for each state; what
// follows after a frame has been left is walked in its context. Masks that took long are kept as they are,
// for other replies under the same grammar.
class Masks {
 public:
  Masks(const Automaton& automaton, std::shared_ptr<const TokenTrie> trie)
      : automaton_(automaton), trie_(std::move(trie)) {}

  using Mask = std::vector<std::uint64_t>;  // a bit a token

  // The tokens that `set` allows, of a machine of the same automaton. Spends a bounded time: a grammar that
  // is ambiguous beyond measure gets a part of its tokens, at least one.
  std::shared_ptr<const Mask> mask(Machine& machine, SetId set) const;

 private:
  struct Exit {
    std::uint32_t node;   // of the trie
    std::int32_t rounds;  // begun until then, of a loop
  };
  // What a frame allows while it is not left, and where it may be left.
  struct Local {
    std::vector<std::int32_t> tokens;  // few, or in the order of rounds
    std::vector<std::size_t> up_to;    // of a loop: how many tokens begin at most so many rounds
    std::vector<std::uint64_t> bits;   // the tokens, where they are many
    std::vector<Exit> exits;           // whose children may go on after it
    bool complete = true;              // the exits are not too many
    std::size_t bytes() const;
  };
  struct Key {
    StateId state;
    bool loop;
    std::vector<std::uint64_t> follow;  // bytes that may come after the frame; empty: not asked
    auto operator<=>(const Key&) const = default;
  };
  struct Work;  // left to spend
  struct MarkHash {
    std::size_t operator()(const SetMark& mark) const { return mark.a; }
  };

  void add(Machine& machine, SetId set, Work& work, std::span<std::uint64_t> allowed) const;

  std::shared_ptr<const Local> local(Machine& machine, const Frame& frame, SetId below, Work& work) const;
  Local of_frame(Machine& machine, StateId state, const ByteSet& follow, bool all, Work& work) const;
  Local of_loop(StateId start, const ByteSet& follow, Work& work) const;
  void pack(Local& local) const;
  void add_local(const Local& local, std::int32_t most_rounds, std::span<std::uint64_t> allowed) const;
  template <class Visit>
  void walk(Machine& machine, SetId set, std::uint32_t root, Work& work, Visit&& visit) const;

  const Automaton& automaton_;
  std::shared_ptr<const TokenTrie> trie_;
  mutable std::mutex mutex_;
  mutable std::map<Key, std::shared_ptr<const Local>> locals_;
  mutable std::size_t locals_bytes_ = 0;
  mutable std::unordered_map<SetMark, std::shared_ptr<const Mask>, MarkHash> masks_;
};

}  // namespace rf::grammar
