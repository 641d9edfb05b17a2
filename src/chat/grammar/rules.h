// Rules: a context-free grammar over bytes, what every front end writes and what the automaton is made from.
// The grammar folder owns constrained output: front ends (gbnf, regex, json_schema), the automaton, and
// masks.
#pragma once
#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace rf::grammar {

using ByteSet = std::bitset<256>;
using PartId = std::int32_t;
using RuleId = std::int32_t;
inline constexpr std::int32_t unbounded = -1;

// A deterministic automaton over bytes. State 0 begins; none: the language of no text.
struct Graph {
  struct Edge {
    std::uint8_t low, high;
    std::int32_t next;
  };
  struct State {
    std::vector<Edge> edges{};  // sorted by bytes
    bool accepting = false;
  };
  std::vector<State> states{};
};

struct Part {
  enum class Kind : std::uint8_t { bytes, sequence, choice, repeat, call, graph };
  Kind kind;
  ByteSet bytes{};  // any one of them
  std::vector<std::int32_t>
      ids{};                      // sequence and choice: parts; repeat: one part; call: one rule; graph: one
  std::int32_t min = 0, max = 0;  // of repeat; max may be `unbounded`

  bool operator==(const Part&) const = default;
};

// Equal parts are one part. Throws Error when the grammar grows beyond max_parts.
class Rules {
 public:
  static constexpr std::size_t max_parts = 400'000;  // parts and their operands together

  PartId bytes(const ByteSet& set) { return add({.kind = Part::Kind::bytes, .bytes = set}); }
  PartId byte(char c);
  PartId range(unsigned low, unsigned high);
  PartId literal(std::string_view text);
  PartId sequence(std::vector<PartId> parts);  // of none: the empty text
  PartId choice(std::vector<PartId> parts);    // of none: nothing at all
  PartId repeat(PartId part, std::int32_t min, std::int32_t max);
  PartId optional(PartId part) { return repeat(part, 0, 1); }
  PartId graph(Graph graph);
  PartId call(RuleId rule) { return add({.kind = Part::Kind::call, .ids = {rule}}); }

  // A shared rule keeps states of its own, which all its callers share; others may be written out in place.
  RuleId add_rule(std::string name, bool shared);
  void define(RuleId rule, PartId body) { at(rule).body = body; }

  const Part& part(PartId id) const { return parts_[static_cast<std::size_t>(id)]; }
  const Graph& graph_of(const Part& part) const { return graphs_[static_cast<std::size_t>(part.ids[0])]; }
  PartId body(RuleId rule) const { return rules_[static_cast<std::size_t>(rule)].body; }
  bool shared(RuleId rule) const { return rules_[static_cast<std::size_t>(rule)].shared; }
  const std::string& name(RuleId rule) const { return rules_[static_cast<std::size_t>(rule)].name; }
  std::size_t rule_count() const { return rules_.size(); }

  RuleId root = -1;

 private:
  struct Rule {
    std::string name;
    bool shared;
    PartId body = -1;
  };
  Rule& at(RuleId rule) { return rules_[static_cast<std::size_t>(rule)]; }
  PartId add(Part part);

  std::vector<Part> parts_;
  std::vector<Rule> rules_;
  std::vector<Graph> graphs_;
  std::unordered_multimap<std::size_t, PartId> index_;
  std::size_t size_ = 0;
};

}  // namespace rf::grammar
