// Automaton: a grammar as a pushdown automaton over bytes. Each rule is a deterministic automaton whose
// states have edges over bytes and calls of other rules; what is called returns to the state after the call.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "chat/grammar/rules.h"

namespace rf::grammar {

using StateId = std::int32_t;
inline constexpr StateId no_state = -1;

struct Automaton {
  // Two states of no rule: below all others lies `bottom`, and `open` where what lies below is not known.
  static constexpr StateId bottom = 0, open = 1;

  struct Edge {
    std::uint8_t low, high;
    StateId next;
  };
  // loop: an index of loops where the callee's text is repeated and counted, else -1.
  // next: no_state where the caller is done when the callee is.
  struct Call {
    StateId start;
    std::int32_t loop;
    StateId next;
  };
  // The automaton of a loop's body returns to its start after each round.
  struct Loop {
    std::int32_t min, max;  // rounds; max may be `unbounded`
  };
  struct State {
    std::int32_t edges = 0, edge_count = 0;  // sorted by bytes
    std::int32_t calls = 0, call_count = 0;
    bool accepting = false;  // the rule may end here
  };

  std::vector<State> states;
  std::vector<Edge> edges;
  std::vector<Call> calls;
  std::vector<Loop> loops;
  StateId start = no_state;

  const State& state(StateId id) const { return states[static_cast<std::size_t>(id)]; }
  std::span<const Edge> edges_of(StateId id) const {
    const State& s = state(id);
    return {edges.data() + s.edges, static_cast<std::size_t>(s.edge_count)};
  }
  std::span<const Call> calls_of(StateId id) const {
    const State& s = state(id);
    return {calls.data() + s.calls, static_cast<std::size_t>(s.call_count)};
  }
  StateId next(StateId id, std::uint8_t byte) const {
    for (const Edge& edge : edges_of(id))
      if (byte <= edge.high) return byte >= edge.low ? edge.next : no_state;
    return no_state;
  }
};

// Keeps only what can be completed with the bytes of `alphabet`: from every state that can be reached a
// complete text can be. Throws Error when nothing is left, naming the rule where a rule begins with itself,
// and when the automaton would be too large.
Automaton make_automaton(const Rules& rules, const ByteSet& alphabet);

}  // namespace rf::grammar
