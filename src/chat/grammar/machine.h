// Machine: runs an automaton byte by byte over sets of stacks.
#pragma once
#include <cstdint>
#include <unordered_map>

#include "chat/grammar/automaton.h"
#include "chat/grammar/stacks.h"

namespace rf::grammar {

// The sets it works with are closed: each top takes a byte, or is Automaton::bottom (the text is complete) or
// Automaton::open (what was asked about is over). Every stack in them can be completed.
class Machine {
 public:
  explicit Machine(const Automaton& automaton) : automaton_(automaton) {}

  const Automaton& automaton() const { return automaton_; }
  SetId start();
  SetId step(SetId set, std::uint8_t byte);  // StackSets::none where no stack takes it
  SetId closed(SetId set);                   // what its stacks become before the next byte
  SetId single(Frame top, SetId below) { return sets_.intern({{top, below}}); }
  SetId open() { return single({Automaton::open}, StackSets::none); }

  std::span<const StackEntry> entries(SetId set) const { return sets_.entries(set); }
  const SetMark& mark(SetId set) const { return sets_.mark(set); }
  bool has(SetId set, StateId top) const;  // bottom or open, which sort before all others
  ByteSet first_bytes(SetId closed);
  // Whether the frame's state takes bytes, which that of a loop whose rounds are over does not.
  bool moves(const Frame& frame) const;

  // A measure of the memory in use and of the work done: sets ever made.
  std::size_t sets() const { return sets_.size(); }
  SetId compact(SetId keep);  // forgets all but `keep`, whose new number it returns

 private:
  SetId close(std::vector<StackEntry> todo);
  SetId take(SetId set, std::uint8_t byte);
  bool may_pop(const Frame& frame) const;

  const Automaton& automaton_;
  StackSets sets_;
  std::unordered_map<std::uint64_t, SetId> steps_;  // by set and byte
  std::unordered_map<SetId, SetId> closed_;
};

}  // namespace rf::grammar
