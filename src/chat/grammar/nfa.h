// Nfa: one rule's body as a nondeterministic automaton, on its way to a deterministic one.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "chat/grammar/rules.h"

namespace rf::grammar {

struct NfaNode {
  enum class Kind : std::uint8_t { accept, split, bytes, call, loop };
  Kind kind;
  std::int32_t a = -1, b = -1;     // where to go on; -1: nowhere. split: both
  std::int32_t value = -1;         // bytes: a part, or -1; call: a rule; loop: a repeat part
  std::uint8_t low = 0, high = 0;  // bytes where `value` is -1
};

// Writes rule after rule as nodes. Small rules without loops are written out where they are called.
class NfaWriter {
 public:
  static constexpr std::size_t max_work = 1'000'000;  // over all rules

  // `countable`: whether the rounds of a long repetition of this part can be counted.
  NfaWriter(const Rules& rules, const ByteSet& alphabet, std::function<bool(PartId)> countable);

  // The nodes of `part` alone, replacing those of the last call; returns the first, -1 where nothing matches.
  // Node 0 accepts. Throws Error when it takes too many.
  std::int32_t write(PartId part);
  const std::vector<NfaNode>& nodes() const { return nodes_; }

 private:
  std::int32_t add(NfaNode node);
  std::int32_t write(PartId part, std::int32_t next);
  std::int32_t write_repeat(PartId part, std::int32_t next);
  std::int32_t write_graph(const Graph& graph, std::int32_t next);
  bool has_calls(PartId part) const;
  static bool is_long(const Part& repeat);  // too long to be written out where it can be counted
  int weight(PartId part);
  int rule_weight(RuleId rule);
  bool inlined(RuleId rule) { return rule_weight(rule) <= most_inlined; }

  static constexpr int most_inlined = 48, heavy = 1 << 20, under_way = -2;
  const Rules& rules_;
  const ByteSet& alphabet_;
  std::function<bool(PartId)> countable_;
  std::vector<NfaNode> nodes_;
  std::vector<int> weights_;  // by rule, -1: not known yet
  std::size_t work_ = 0;
};

}  // namespace rf::grammar
