// What an automaton says about itself: what can be completed, what may be empty, what begins with itself.
#pragma once
#include <span>
#include <utility>

#include "chat/grammar/automaton.h"

namespace rf::grammar {

// Takes out all edges and calls from which no complete text can be reached, and marks calls after which the
// caller has nothing left to do. Throws Error when nothing is left.
void prune(Automaton& automaton);

// A rule that can call itself before any byte, and whether there is one. `starts`: by rule.
std::pair<RuleId, bool> left_recursion(const Automaton& automaton, std::span<const StateId> starts);

}  // namespace rf::grammar
