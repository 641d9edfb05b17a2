// The subset construction (Rabin and Scott 1959) for one rule, over bytes and calls.
#pragma once
#include <functional>
#include <vector>

#include "chat/grammar/automaton.h"
#include "chat/grammar/nfa.h"

namespace rf::grammar {

// What may be spent over all rules of a grammar.
struct DeterminizeBudget {
  std::int64_t work = 10'000'000;
  std::size_t states = 300'000, edges = 2'000'000;
};

// Appends the states of `nodes` from `first` on to `automaton` and returns the first of them. `call_of` gives
// what a call or loop node calls. Throws Error when the budget is used up.
StateId determinize(const std::vector<NfaNode>& nodes, std::int32_t first, const Rules& rules,
                    const ByteSet& alphabet, const std::function<Automaton::Call(const NfaNode&)>& call_of,
                    DeterminizeBudget& budget, Automaton& automaton);

}  // namespace rf::grammar
