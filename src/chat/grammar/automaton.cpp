#include "chat/grammar/automaton.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "chat/grammar/determinize.h"
#include "chat/grammar/nfa.h"
#include "chat/grammar/prune.h"

namespace rf::grammar {
namespace {

// Calls hold rules until all of them have states: rule r is written as -2 - r.
StateId placeholder(RuleId rule) {
  return -2 - rule;
}

class AutomatonBuilder {
 public:
  AutomatonBuilder(const Rules& rules, const ByteSet& alphabet)
      : rules_(rules),
        alphabet_(alphabet),
        writer_(rules, alphabet, [this](PartId body) { return loop_body(body) != no_state; }),
        loop_writer_(rules, alphabet, [](PartId) { return false; }),
        starts_(rules.rule_count(), no_state),
        asked_(rules.rule_count(), false) {
    automaton_.states.resize(2);
  }

  Automaton build();

 private:
  StateId loop_body(PartId body);
  std::int32_t loop_of(const Part& repeat);
  Automaton::Call call_of(const NfaNode& node);

  const Rules& rules_;
  const ByteSet& alphabet_;
  Automaton automaton_;
  DeterminizeBudget budget_;
  NfaWriter writer_, loop_writer_;
  std::vector<StateId> starts_;  // by rule
  std::vector<bool> asked_;
  std::vector<RuleId> due_;
  std::unordered_map<PartId, StateId> loop_bodies_;  // no_state: cannot be counted
  std::map<std::pair<std::int32_t, std::int32_t>, std::int32_t> loops_;
};

// A body can be counted where the end of each round is plain: no text of it is the beginning of another.
StateId AutomatonBuilder::loop_body(PartId body) {
  const auto [at, added] = loop_bodies_.try_emplace(body, no_state);
  if (!added) return at->second;
  const std::int32_t first = loop_writer_.write(body);
  if (first < 0) return no_state;
  const auto begin = static_cast<StateId>(automaton_.states.size());
  const StateId start = determinize(loop_writer_.nodes(), first, rules_, alphabet_, {}, budget_, automaton_);
  const auto end = static_cast<StateId>(automaton_.states.size());
  const auto last = [&](StateId id) { return automaton_.state(id).accepting; };
  for (StateId id = begin; id < end; ++id) {
    if (last(id) && (id == start || automaton_.state(id).edge_count > 0)) return no_state;
    for (const Automaton::Edge& edge : automaton_.edges_of(id))
      if (edge.next == start) return no_state;
  }
  for (StateId id = begin; id < end; ++id)
    for (std::int32_t i = 0; i < automaton_.state(id).edge_count; ++i) {
      Automaton::Edge& edge = automaton_.edges[static_cast<std::size_t>(automaton_.state(id).edges + i)];
      if (last(edge.next)) edge.next = start;
    }
  automaton_.states[static_cast<std::size_t>(start)].accepting = true;
  return loop_bodies_[body] = start;
}

std::int32_t AutomatonBuilder::loop_of(const Part& repeat) {
  const auto [at, added] =
      loops_.try_emplace({repeat.min, repeat.max}, static_cast<std::int32_t>(automaton_.loops.size()));
  if (added) automaton_.loops.push_back({repeat.min, repeat.max});
  return at->second;
}

Automaton::Call AutomatonBuilder::call_of(const NfaNode& node) {
  if (node.kind == NfaNode::Kind::loop) {
    const Part& repeat = rules_.part(node.value);
    return {loop_body(repeat.ids[0]), loop_of(repeat), no_state};
  }
  if (!asked_[static_cast<std::size_t>(node.value)]) due_.push_back(node.value);
  asked_[static_cast<std::size_t>(node.value)] = true;
  return {placeholder(node.value), -1, no_state};
}

Automaton AutomatonBuilder::build() {
  due_.push_back(rules_.root);
  asked_[static_cast<std::size_t>(rules_.root)] = true;
  while (!due_.empty()) {
    const RuleId rule = due_.back();
    due_.pop_back();
    const std::int32_t first = writer_.write(rules_.body(rule));
    if (first < 0) continue;
    starts_[static_cast<std::size_t>(rule)] = determinize(
        writer_.nodes(), first, rules_, alphabet_, [this](const NfaNode& node) { return call_of(node); },
        budget_, automaton_);
  }
  for (Automaton::Call& call : automaton_.calls)
    if (call.start < no_state) call.start = starts_[static_cast<std::size_t>(-2 - call.start)];
  automaton_.start = starts_[static_cast<std::size_t>(rules_.root)];
  prune(automaton_);
  const auto [name, found] = left_recursion(automaton_, starts_);
  if (found)
    fail("rule \"{}\": begins with itself (left recursion): write it with a repetition or the call last",
         rules_.name(name));
  return std::move(automaton_);
}

}  // namespace

Automaton make_automaton(const Rules& rules, const ByteSet& alphabet) {
  return AutomatonBuilder(rules, alphabet).build();
}

}  // namespace rf::grammar
