#include "chat/grammar/prune.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"

namespace rf::grammar {
namespace {

// The least set of states that holds all in `seeds` and each source whose needs are all held.
class Closure {
 public:
  explicit Closure(std::size_t states) : held(states, false), uses_(states) {}

  // `source` is held when `a` and `b` are; b may be no_state.
  void need(StateId source, StateId a, StateId b) {
    uses_[static_cast<std::size_t>(a)].push_back({source, b});
    if (b != no_state) uses_[static_cast<std::size_t>(b)].push_back({source, a});
  }
  void hold(StateId id) {
    if (held[static_cast<std::size_t>(id)]) return;
    held[static_cast<std::size_t>(id)] = true;
    due_.push_back(id);
  }
  void run() {
    while (!due_.empty()) {
      const StateId id = due_.back();
      due_.pop_back();
      for (const auto& [source, other] : uses_[static_cast<std::size_t>(id)])
        if (other == no_state || held[static_cast<std::size_t>(other)]) hold(source);
    }
  }

  std::vector<bool> held;

 private:
  std::vector<std::vector<std::pair<StateId, StateId>>> uses_;
  std::vector<StateId> due_;
};

bool may_be_skipped(const Automaton& automaton, const Automaton::Call& call) {
  return call.loop >= 0 && automaton.loops[static_cast<std::size_t>(call.loop)].min == 0;
}

// States from which the end of their rule can be reached, by any bytes or (`empty`) by none.
std::vector<bool> states_that_end(const Automaton& automaton, bool empty) {
  Closure closure(automaton.states.size());
  for (StateId id = 0; id < static_cast<StateId>(automaton.states.size()); ++id) {
    // A loop's start accepts the end of a round; whether the loop may end is not up to it.
    if (automaton.state(id).accepting) closure.hold(id);
    if (!empty)
      for (const Automaton::Edge& edge : automaton.edges_of(id)) closure.need(id, edge.next, no_state);
    for (const Automaton::Call& call : automaton.calls_of(id)) {
      const bool skipped = may_be_skipped(automaton, call);
      if (!skipped && (call.start == no_state || (empty && call.loop >= 0))) continue;
      if (call.next == no_state && skipped)
        closure.hold(id);
      else if (call.next == no_state || skipped)
        closure.need(id, skipped ? call.next : call.start, no_state);
      else
        closure.need(id, call.next, call.start);
    }
  }
  closure.run();
  return closure.held;
}

bool is_done(const Automaton& automaton, StateId id) {
  const Automaton::State& state = automaton.state(id);
  return state.accepting && state.edge_count == 0 && state.call_count == 0;
}

}  // namespace

void prune(Automaton& automaton) {
  if (automaton.start == no_state) fail("the grammar matches no text that this vocabulary can write");
  const std::vector<bool> live = states_that_end(automaton, false);
  const auto alive = [&](StateId id) { return id != no_state && live[static_cast<std::size_t>(id)]; };
  if (!alive(automaton.start)) fail("the grammar matches no text that this vocabulary can write");
  for (Automaton::State& state : automaton.states) {
    const auto edges = automaton.edges.begin() + state.edges;
    state.edge_count = static_cast<std::int32_t>(
        std::remove_if(edges, edges + state.edge_count, [&](const auto& edge) { return !alive(edge.next); }) -
        edges);
    const auto calls = automaton.calls.begin() + state.calls;
    state.call_count = static_cast<std::int32_t>(
        std::remove_if(calls, calls + state.call_count,
                       [&](const auto& call) { return !alive(call.next) || !alive(call.start); }) -
        calls);
  }
  for (Automaton::Call& call : automaton.calls)
    if (call.next != no_state && is_done(automaton, call.next)) call.next = no_state;
}

std::pair<RuleId, bool> left_recursion(const Automaton& automaton, std::span<const StateId> starts) {
  const std::vector<bool> empty = states_that_end(automaton, true);
  std::unordered_map<StateId, std::size_t> rule_of;
  for (std::size_t rule = 0; rule < starts.size(); ++rule)
    if (starts[rule] != no_state) rule_of.emplace(starts[rule], rule);
  // Which rules each rule may call before any byte.
  std::vector<std::vector<std::size_t>> first(starts.size());
  std::vector<bool> seen(automaton.states.size(), false);
  for (std::size_t rule = 0; rule < starts.size(); ++rule) {
    std::vector<StateId> due;
    if (starts[rule] != no_state) due.push_back(starts[rule]);
    while (!due.empty()) {
      const StateId id = due.back();
      due.pop_back();
      if (seen[static_cast<std::size_t>(id)]) continue;
      seen[static_cast<std::size_t>(id)] = true;
      for (const Automaton::Call& call : automaton.calls_of(id)) {
        if (call.loop < 0) first[rule].push_back(rule_of.at(call.start));
        const bool skipped =
            call.loop >= 0 ? may_be_skipped(automaton, call) : empty[static_cast<std::size_t>(call.start)];
        if (skipped && call.next != no_state) due.push_back(call.next);
      }
    }
  }
  // Takes away rules that no rule left calls first; what stays is on a circle or is called from one.
  std::vector<std::size_t> callers(starts.size(), 0), due;
  for (const auto& callees : first)
    for (const std::size_t callee : callees) ++callers[callee];
  std::size_t left = starts.size();
  for (std::size_t rule = 0; rule < starts.size(); ++rule)
    if (callers[rule] == 0) due.push_back(rule);
  while (!due.empty()) {
    const std::size_t rule = due.back();
    due.pop_back();
    --left;
    for (const std::size_t callee : first[rule])
      if (--callers[callee] == 0) due.push_back(callee);
  }
  if (left == 0) return {0, false};
  // From a rule that is left, each step to a caller that is left stays among them, hence ends in a circle.
  std::vector<std::size_t> caller_of(starts.size(), starts.size());
  for (std::size_t rule = 0; rule < starts.size(); ++rule)
    if (callers[rule] > 0)
      for (const std::size_t callee : first[rule]) caller_of[callee] = rule;
  std::size_t at = 0;
  while (callers[at] == 0) ++at;
  for (std::size_t i = 0; i < starts.size(); ++i) at = caller_of[at];
  return {static_cast<RuleId>(at), true};
}

}  // namespace rf::grammar
