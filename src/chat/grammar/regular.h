// Regular languages as graphs: what two of them share, and what one has that the other has not.
#pragma once
#include <string_view>

#include "chat/grammar/rules.h"

namespace rf::grammar {

// `part` must not call rules. Each throws Error when the graph would have more than most_graph_states states.
inline constexpr std::size_t most_graph_states = 20'000;
Graph graph_of(const Rules& rules, PartId part);
Graph common(const Graph& a, const Graph& b);
Graph without(const Graph& a, const Graph& b);
bool matches(const Graph& graph, std::string_view text);  // the whole of it

}  // namespace rf::grammar
