#include "chat/grammar/determinize.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/error.h"

namespace rf::grammar {
namespace {

using Subset = std::vector<std::int32_t>;  // nodes other than splits, sorted

struct SubsetHash {
  std::size_t operator()(const Subset& subset) const {
    std::size_t hash = subset.size();
    for (const std::int32_t node : subset)
      hash = (hash ^ static_cast<std::size_t>(node)) * 0x9e3779b97f4a7c15u >> 3 ^ hash << 61;
    return hash;
  }
};

class Determinizer {
 public:
  Determinizer(const std::vector<NfaNode>& nodes, const Rules& rules, const ByteSet& alphabet,
               const std::function<Automaton::Call(const NfaNode&)>& call_of, DeterminizeBudget& budget,
               Automaton& automaton)
      : nodes_(nodes),
        rules_(rules),
        alphabet_(alphabet),
        call_of_(call_of),
        budget_(budget),
        automaton_(automaton),
        seen_(nodes.size(), 0) {}

  StateId run(std::int32_t first) {
    const StateId start = state_of({first});
    for (std::size_t i = 0; i < subsets_.size(); ++i) expand(i, start + static_cast<StateId>(i));
    return start;
  }

 private:
  const NfaNode& node(std::int32_t id) const { return nodes_[static_cast<std::size_t>(id)]; }
  void spend(std::size_t work) {
    if ((budget_.work -= static_cast<std::int64_t>(work)) < 0)
      fail("the grammar is too complex: its deterministic automaton takes too long to build");
  }
  StateId state_of(const Subset& reached);
  void expand(std::size_t index, StateId id);
  void add_edges(const Subset& movers);
  void add_edge(unsigned low, unsigned high, StateId next);
  void add_calls(const Subset& callers);
  bool same_callee(const NfaNode& a, const NfaNode& b) const {
    return a.kind == b.kind && a.value == b.value;
  }
  ByteSet bytes_of(std::int32_t id) const {
    if (node(id).value >= 0) return rules_.part(node(id).value).bytes & alphabet_;
    ByteSet range;
    for (unsigned b = node(id).low; b <= node(id).high; ++b) range.set(b);
    return range & alphabet_;
  }

  const std::vector<NfaNode>& nodes_;
  const Rules& rules_;
  const ByteSet& alphabet_;
  const std::function<Automaton::Call(const NfaNode&)>& call_of_;
  DeterminizeBudget& budget_;
  Automaton& automaton_;
  std::vector<std::uint32_t> seen_;
  std::uint32_t round_ = 0;
  std::vector<const Subset*> subsets_;  // by state
  std::unordered_map<Subset, StateId, SubsetHash> index_;
  std::size_t edges_begin_ = 0;  // of the state under way
};

StateId Determinizer::state_of(const Subset& reached) {
  ++round_;
  Subset todo = reached, subset;
  while (!todo.empty()) {
    const std::int32_t id = todo.back();
    todo.pop_back();
    if (id < 0 || std::exchange(seen_[static_cast<std::size_t>(id)], round_) == round_) continue;
    spend(1);
    if (node(id).kind == NfaNode::Kind::split) {
      todo.push_back(node(id).b);
      todo.push_back(node(id).a);
    } else {
      subset.push_back(id);
    }
  }
  std::ranges::sort(subset);
  const auto id = static_cast<StateId>(automaton_.states.size());
  const auto [at, added] = index_.try_emplace(std::move(subset), id);
  if (!added) return at->second;
  if (automaton_.states.size() >= budget_.states)
    fail("the grammar is too complex: its deterministic automaton has more than {} states", budget_.states);
  automaton_.states.emplace_back();
  subsets_.push_back(&at->first);
  return id;
}

void Determinizer::expand(std::size_t index, StateId id) {
  Subset movers, callers;
  bool accepting = false;
  for (const std::int32_t each : *subsets_[index]) {
    const NfaNode::Kind kind = node(each).kind;
    accepting = accepting || kind == NfaNode::Kind::accept;
    if (kind == NfaNode::Kind::bytes) movers.push_back(each);
    if (kind == NfaNode::Kind::call || kind == NfaNode::Kind::loop) callers.push_back(each);
  }
  edges_begin_ = automaton_.edges.size();
  const std::size_t calls_begin = automaton_.calls.size();
  add_edges(movers);
  add_calls(callers);
  if (automaton_.edges.size() + automaton_.calls.size() > budget_.edges)
    fail("the grammar is too complex: its automaton has more than {} edges", budget_.edges);
  Automaton::State& state = automaton_.states[static_cast<std::size_t>(id)];
  state.accepting = accepting;
  state.edges = static_cast<std::int32_t>(edges_begin_);
  state.edge_count = static_cast<std::int32_t>(automaton_.edges.size() - edges_begin_);
  state.calls = static_cast<std::int32_t>(calls_begin);
  state.call_count = static_cast<std::int32_t>(automaton_.calls.size() - calls_begin);
}

void Determinizer::add_edge(unsigned low, unsigned high, StateId next) {
  if (automaton_.edges.size() > edges_begin_) {
    Automaton::Edge& last = automaton_.edges.back();
    if (last.next == next && last.high + 1u == low) {
      last.high = static_cast<std::uint8_t>(high);
      return;
    }
  }
  automaton_.edges.push_back({static_cast<std::uint8_t>(low), static_cast<std::uint8_t>(high), next});
}

// Cuts the bytes where the set of nodes that take them changes.
void Determinizer::add_edges(const Subset& movers) {
  if (movers.empty()) return;
  std::vector<ByteSet> sets;
  ByteSet any, cuts;
  for (const std::int32_t each : movers) {
    sets.push_back(bytes_of(each));
    any |= sets.back();
    cuts |= sets.back() ^ sets.back() << 1;
  }
  spend(movers.size());
  Subset reached, last_reached;
  StateId next = no_state;
  for (unsigned low = 0; low < 256;) {
    unsigned high = low;
    while (high < 255 && !cuts[high + 1]) ++high;
    if (any[low]) {
      reached.clear();
      for (std::size_t i = 0; i < movers.size(); ++i)
        if (sets[i][low]) reached.push_back(node(movers[i]).a);
      spend(movers.size());
      if (next == no_state || reached != last_reached) next = state_of(reached);
      last_reached = reached;
      add_edge(low, high, next);
    }
    low = high + 1;
  }
}

void Determinizer::add_calls(const Subset& callers) {
  Subset order = callers;
  std::ranges::sort(order, {},
                    [&](std::int32_t id) { return std::tuple(node(id).kind, node(id).value, id); });
  for (std::size_t i = 0, end = 0; i < order.size(); i = end) {
    Subset reached;
    for (end = i; end < order.size() && same_callee(node(order[i]), node(order[end])); ++end)
      reached.push_back(node(order[end]).a);
    spend(end - i);
    Automaton::Call call = call_of_(node(order[i]));
    call.next = state_of(reached);
    automaton_.calls.push_back(call);
  }
}

}  // namespace

StateId determinize(const std::vector<NfaNode>& nodes, std::int32_t first, const Rules& rules,
                    const ByteSet& alphabet, const std::function<Automaton::Call(const NfaNode&)>& call_of,
                    DeterminizeBudget& budget, Automaton& automaton) {
  return Determinizer(nodes, rules, alphabet, call_of, budget, automaton).run(first);
}

}  // namespace rf::grammar
