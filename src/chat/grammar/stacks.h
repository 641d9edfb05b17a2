// StackSets: sets of stacks of the pushdown automaton, each kept once and known by a number.
#pragma once
#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "chat/grammar/automaton.h"

namespace rf::grammar {

using SetId = std::int32_t;

struct Frame {
  StateId state;
  std::int32_t loop = -1;  // where `state` is of a counted loop's body
  std::int32_t round = 0;  // of it, begun so far
  auto operator<=>(const Frame&) const = default;
};

// A set of stacks as a tree from the top: for each top frame, the set of what may lie below it. So what many
// stacks share is kept once, as in the graph-structured stacks of generalised parsing (Tomita 1985).
struct StackEntry {
  Frame top;
  SetId below;
  auto operator<=>(const StackEntry&) const = default;
};

// What a set is, whatever its number: equal for equal sets of different StackSets.
struct SetMark {
  std::uint64_t a = 0, b = 0;
  bool operator==(const SetMark&) const = default;
};

class StackSets {
 public:
  static constexpr SetId none = 0;  // the set of no stack

  StackSets() { intern({}); }

  SetId intern(std::vector<StackEntry> entries);  // in any order
  std::span<const StackEntry> entries(SetId set) const {
    const auto i = static_cast<std::size_t>(set);
    return {entries_.data() + begins_[i], begins_[i + 1] - begins_[i]};
  }
  const SetMark& mark(SetId set) const { return marks_[static_cast<std::size_t>(set)]; }
  SetId unite(SetId a, SetId b) { return unite(a, b, 0); }
  std::size_t size() const { return begins_.size() - 1; }

  // A copy that holds only `set` and what it is made of, and its number there.
  std::pair<StackSets, SetId> only(SetId set) const;

 private:
  SetId unite(SetId a, SetId b, int depth);
  void merge_equal_tops(std::vector<StackEntry>& entries, int depth);
  void grow_table();
  std::size_t slot_of(std::span<const StackEntry> entries) const;

  std::vector<StackEntry> entries_;
  std::vector<std::size_t> begins_{0};
  std::vector<SetMark> marks_;
  std::vector<SetId> table_ = std::vector<SetId>(64, -1);  // open addressing
};

}  // namespace rf::grammar
