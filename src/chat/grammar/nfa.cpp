#include "chat/grammar/nfa.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace rf::grammar {

bool NfaWriter::is_long(const Part& repeat) {
  return std::max(repeat.min, repeat.max) > 8;
}

NfaWriter::NfaWriter(const Rules& rules, const ByteSet& alphabet, std::function<bool(PartId)> countable)
    : rules_(rules),
      alphabet_(alphabet),
      countable_(std::move(countable)),
      weights_(rules.rule_count(), -1) {}

std::int32_t NfaWriter::write(PartId part) {
  nodes_.clear();
  add({.kind = NfaNode::Kind::accept});
  return write(part, 0);
}

std::int32_t NfaWriter::add(NfaNode node) {
  nodes_.push_back(node);
  return static_cast<std::int32_t>(nodes_.size()) - 1;
}

// Backwards: what comes after `part` is there already.
std::int32_t NfaWriter::write(PartId id, std::int32_t next) {
  if (next < 0) return -1;
  if (++work_ > max_work) fail("the grammar is too large: its repetitions take more than {} parts", max_work);
  const Part& part = rules_.part(id);
  switch (part.kind) {
    case Part::Kind::bytes:
      if ((part.bytes & alphabet_).none()) return -1;
      return add({.kind = NfaNode::Kind::bytes, .a = next, .value = id});
    case Part::Kind::sequence:
      for (auto at = part.ids.rbegin(); at != part.ids.rend() && next >= 0; ++at) next = write(*at, next);
      return next;
    case Part::Kind::choice: {
      std::int32_t first = -1;
      for (auto at = part.ids.rbegin(); at != part.ids.rend(); ++at) {
        const std::int32_t other = write(*at, next);
        if (other < 0) continue;
        first = first < 0 ? other : add({.kind = NfaNode::Kind::split, .a = other, .b = first});
      }
      return first;
    }
    case Part::Kind::repeat:
      return write_repeat(id, next);
    case Part::Kind::call:
      if (inlined(part.ids[0])) return write(rules_.body(part.ids[0]), next);
      return add({.kind = NfaNode::Kind::call, .a = next, .value = part.ids[0]});
    case Part::Kind::graph:
      return write_graph(rules_.graph_of(part), next);
  }
  return -1;
}

// A state is a chain of splits over its edges, and the way on where it accepts.
std::int32_t NfaWriter::write_graph(const Graph& graph, std::int32_t next) {
  std::vector<std::int32_t> begins;
  for (const Graph::State& state : graph.states) {
    if ((work_ += 1 + state.edges.size()) > max_work)
      fail("the grammar is too large: its repetitions take more than {} parts", max_work);
    begins.push_back(add({.kind = NfaNode::Kind::split, .b = state.accepting ? next : -1}));
  }
  for (std::size_t i = 0; i < graph.states.size(); ++i)
    for (const Graph::Edge& edge : graph.states[i].edges) {
      const std::int32_t taken = add({.kind = NfaNode::Kind::bytes,
                                      .a = begins[static_cast<std::size_t>(edge.next)],
                                      .low = edge.low,
                                      .high = edge.high});
      const std::int32_t rest = nodes_[static_cast<std::size_t>(begins[i])].a;
      const std::int32_t other =
          rest < 0 ? taken : add({.kind = NfaNode::Kind::split, .a = taken, .b = rest});
      nodes_[static_cast<std::size_t>(begins[i])].a = other;
    }
  return begins[0];
}

std::int32_t NfaWriter::write_repeat(PartId id, std::int32_t next) {
  const Part& part = rules_.part(id);
  if (is_long(part) && !has_calls(part.ids[0]) && countable_(part.ids[0]))
    return add({.kind = NfaNode::Kind::loop, .a = next, .value = id});
  std::int32_t first = next;
  if (part.max == unbounded) {
    first = add({.kind = NfaNode::Kind::split, .b = next});
    const std::int32_t round = write(part.ids[0], first);
    nodes_[static_cast<std::size_t>(first)].a = round;
  } else {
    for (std::int32_t i = part.min; i < part.max; ++i) {
      const std::int32_t round = write(part.ids[0], first);
      if (round < 0) break;
      first = add({.kind = NfaNode::Kind::split, .a = round, .b = next});
    }
  }
  for (std::int32_t i = 0; i < part.min && first >= 0; ++i) first = write(part.ids[0], first);
  return first;
}

bool NfaWriter::has_calls(PartId id) const {
  const Part& part = rules_.part(id);
  if (part.kind == Part::Kind::call) return true;
  if (part.kind == Part::Kind::repeat && is_long(part)) return true;
  if (part.kind == Part::Kind::bytes || part.kind == Part::Kind::graph) return false;
  return std::ranges::any_of(part.ids, [&](PartId each) { return has_calls(each); });
}

int NfaWriter::weight(PartId id) {
  const Part& part = rules_.part(id);
  switch (part.kind) {
    case Part::Kind::bytes:
      return 1;
    case Part::Kind::graph:
      return heavy;
    case Part::Kind::call:
      if (weights_[static_cast<std::size_t>(part.ids[0])] == under_way) return heavy;  // it calls itself
      return inlined(part.ids[0]) ? rule_weight(part.ids[0]) : 1;
    case Part::Kind::repeat:
      if (part.max == unbounded || is_long(part)) return heavy;
      return std::min(heavy, weight(part.ids[0]) * part.max);
    default: {
      int sum = 0;
      for (const PartId each : part.ids)
        if (sum < heavy) sum += weight(each);
      return std::min(heavy, sum);
    }
  }
}

// What its language's automaton takes when written in place; heavy for a rule that should be called.
int NfaWriter::rule_weight(RuleId rule) {
  const auto i = static_cast<std::size_t>(rule);
  if (weights_[i] >= 0) return weights_[i];
  weights_[i] = under_way;
  return weights_[i] = rules_.shared(rule) ? heavy : weight(rules_.body(rule));
}

}  // namespace rf::grammar
