#include "chat/grammar/regular.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "chat/grammar/determinize.h"
#include "chat/grammar/nfa.h"

namespace rf::grammar {
namespace {

constexpr std::int32_t nowhere = -1;

std::int32_t next_of(const Graph& graph, std::int32_t state, unsigned byte) {
  if (state == nowhere) return nowhere;
  for (const Graph::Edge& edge : graph.states[static_cast<std::size_t>(state)].edges)
    if (byte <= edge.high) return byte >= edge.low ? edge.next : nowhere;
  return nowhere;
}

// Keeps the states from which an accepting one can be reached.
Graph pruned(const Graph& graph) {
  std::vector<std::vector<std::int32_t>> before(graph.states.size());
  std::vector<std::int32_t> due;
  std::vector<bool> alive(graph.states.size(), false);
  for (std::size_t i = 0; i < graph.states.size(); ++i) {
    for (const Graph::Edge& edge : graph.states[i].edges)
      before[static_cast<std::size_t>(edge.next)].push_back(static_cast<std::int32_t>(i));
    if (graph.states[i].accepting) due.push_back(static_cast<std::int32_t>(i));
  }
  while (!due.empty()) {
    const auto at = static_cast<std::size_t>(due.back());
    due.pop_back();
    if (alive[at]) continue;
    alive[at] = true;
    due.insert(due.end(), before[at].begin(), before[at].end());
  }
  if (graph.states.empty() || !alive[0]) return {};
  std::vector<std::int32_t> number(graph.states.size(), nowhere);
  std::int32_t count = 0;
  for (std::size_t i = 0; i < alive.size(); ++i)
    if (alive[i]) number[i] = count++;
  Graph kept;
  for (std::size_t i = 0; i < alive.size(); ++i) {
    if (!alive[i]) continue;
    Graph::State& state = kept.states.emplace_back();
    state.accepting = graph.states[i].accepting;
    for (Graph::Edge edge : graph.states[i].edges)
      if ((edge.next = number[static_cast<std::size_t>(edge.next)]) != nowhere) state.edges.push_back(edge);
  }
  return kept;
}

// Both at once; `keep` says which pairs of endings count.
template <class Keep>
Graph product(const Graph& a, const Graph& b, bool b_may_be_over, Keep&& keep) {
  using Pair = std::pair<std::int32_t, std::int32_t>;
  if (a.states.empty() || (b.states.empty() && !b_may_be_over)) return {};
  std::map<Pair, std::int32_t> numbers;
  std::vector<Pair> pairs;
  const auto number = [&](const Pair& pair) {
    const auto [at, added] = numbers.try_emplace(pair, static_cast<std::int32_t>(pairs.size()));
    if (added) pairs.push_back(pair);
    if (pairs.size() > most_graph_states)
      fail("the combination of patterns and lengths takes more than {} states", most_graph_states);
    return at->second;
  };
  Graph both;
  number({0, b.states.empty() ? nowhere : 0});
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto [x, y] = pairs[i];
    Graph::State state;
    const bool y_accepts = y != nowhere && b.states[static_cast<std::size_t>(y)].accepting;
    state.accepting = keep(a.states[static_cast<std::size_t>(x)].accepting, y_accepts);
    for (unsigned byte = 0; byte < 256; ++byte) {
      const Pair next{next_of(a, x, byte), next_of(b, y, byte)};
      if (next.first == nowhere || (next.second == nowhere && !b_may_be_over)) continue;
      const std::int32_t to = number(next);
      if (!state.edges.empty() && state.edges.back().next == to && state.edges.back().high + 1u == byte)
        ++state.edges.back().high;
      else
        state.edges.push_back({static_cast<std::uint8_t>(byte), static_cast<std::uint8_t>(byte), to});
    }
    both.states.push_back(std::move(state));
  }
  return pruned(both);
}

}  // namespace

Graph graph_of(const Rules& rules, PartId part) {
  const ByteSet all = ByteSet().set();
  NfaWriter writer(rules, all, [](PartId) { return false; });
  const std::int32_t first = writer.write(part);
  if (first < 0) return {};
  Automaton automaton;
  DeterminizeBudget budget;
  budget.states = most_graph_states;
  determinize(writer.nodes(), first, rules, all, {}, budget, automaton);
  Graph graph;
  for (StateId id = 0; id < static_cast<StateId>(automaton.states.size()); ++id) {
    Graph::State& state = graph.states.emplace_back();
    state.accepting = automaton.state(id).accepting;
    for (const Automaton::Edge& edge : automaton.edges_of(id))
      state.edges.push_back({edge.low, edge.high, edge.next});
  }
  return pruned(graph);
}

Graph common(const Graph& a, const Graph& b) {
  return product(a, b, false, [](bool x, bool y) { return x && y; });
}

Graph without(const Graph& a, const Graph& b) {
  return product(a, b, true, [](bool x, bool y) { return x && !y; });
}

bool matches(const Graph& graph, std::string_view text) {
  std::int32_t at = graph.states.empty() ? nowhere : 0;
  for (const char c : text) at = next_of(graph, at, static_cast<unsigned char>(c));
  return at != nowhere && graph.states[static_cast<std::size_t>(at)].accepting;
}

}  // namespace rf::grammar
