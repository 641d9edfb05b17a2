#include "chat/grammar/machine.h"

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

namespace rf::grammar {
namespace {

// A grammar that is ambiguous in what it counts could have as many stacks as counts. Leaving some out is
// sound: what the others allow can still be completed.
constexpr std::size_t most_tops = 1000, most_rounds_of_one_loop = 32;

const Automaton::Loop& loop_of(const Automaton& automaton, const Frame& frame) {
  return automaton.loops[static_cast<std::size_t>(frame.loop)];
}

}  // namespace

SetId Machine::start() {
  const SetId bottom = single({Automaton::bottom}, StackSets::none);
  return close({{{automaton_.start}, bottom}});
}

bool Machine::has(SetId set, StateId top) const {
  return std::ranges::any_of(sets_.entries(set).first(std::min<std::size_t>(2, sets_.entries(set).size())),
                             [&](const StackEntry& entry) { return entry.top.state == top; });
}

bool Machine::moves(const Frame& frame) const {
  const Automaton::State& state = automaton_.state(frame.state);
  if (state.edge_count == 0) return false;
  if (frame.loop < 0 || !state.accepting) return true;
  const Automaton::Loop& loop = loop_of(automaton_, frame);
  return loop.max == unbounded || frame.round < loop.max;
}

bool Machine::may_pop(const Frame& frame) const {
  if (!automaton_.state(frame.state).accepting) return false;
  return frame.loop < 0 || frame.round >= loop_of(automaton_, frame).min;
}

ByteSet Machine::first_bytes(SetId closed) {
  ByteSet bytes;
  for (const StackEntry& entry : sets_.entries(closed))
    for (const Automaton::Edge& edge : automaton_.edges_of(entry.top.state))
      for (unsigned b = edge.low; b <= edge.high; ++b) bytes.set(b);
  return bytes;
}

SetId Machine::step(SetId set, std::uint8_t byte) {
  const std::uint64_t key = static_cast<std::uint64_t>(set) << 8 | byte;
  const auto found = steps_.find(key);
  if (found != steps_.end()) return found->second;
  return steps_[key] = take(set, byte);
}

SetId Machine::take(SetId set, std::uint8_t byte) {
  std::vector<StackEntry> moved;
  for (const StackEntry& entry : sets_.entries(set)) {
    const StateId next = automaton_.next(entry.top.state, byte);
    if (next == no_state) continue;
    Frame top{next, entry.top.loop, entry.top.round};
    if (top.loop >= 0 && automaton_.state(entry.top.state).accepting) {
      // Rounds beyond the least make no difference where there is no most.
      const Automaton::Loop& loop = loop_of(automaton_, top);
      top.round = loop.max == unbounded ? std::min(top.round + 1, loop.min) : top.round + 1;
    }
    moved.push_back({top, entry.below});
  }
  if (moved.size() == 1) {
    const Automaton::State& state = automaton_.state(moved[0].top.state);
    if (!state.accepting && state.call_count == 0) return sets_.intern(std::move(moved));
  }
  return close(std::move(moved));
}

SetId Machine::closed(SetId set) {
  const auto found = closed_.find(set);
  if (found != closed_.end()) return found->second;
  const auto entries = sets_.entries(set);
  const SetId result = close({entries.begin(), entries.end()});
  closed_[set] = result;
  return result;
}

// Calls and returns until every top waits for a byte. Stacks with equal tops are united before they go on, so
// that their number stays small; a top that gains stacks goes on once more.
SetId Machine::close(std::vector<StackEntry> todo) {
  struct Reached {
    SetId below;
    bool due;
  };
  std::map<Frame, Reached> tops;
  std::deque<Frame> due;
  std::map<std::pair<StateId, std::int32_t>, std::size_t> rounds;
  std::size_t moving = 0;
  const auto reach = [&](const Frame& top, SetId below) {
    const auto [at, added] = tops.try_emplace(top, Reached{below, false});
    if (added && moves(top)) {
      const bool too_many = top.loop >= 0 && ++rounds[{top.state, top.loop}] > most_rounds_of_one_loop;
      if (too_many || ++moving > most_tops) {
        tops.erase(at);
        return;
      }
    }
    const SetId all = added ? below : sets_.unite(at->second.below, below);
    if (!added && all == at->second.below) return;
    at->second.below = all;
    if (!std::exchange(at->second.due, true)) due.push_back(top);
  };
  for (const StackEntry& entry : todo) reach(entry.top, entry.below);
  while (!due.empty()) {
    const Frame top = due.front();
    due.pop_front();
    Reached& reached = tops.at(top);
    reached.due = false;
    const SetId below = reached.below;
    for (const Automaton::Call& call : automaton_.calls_of(top.state))
      reach({call.start, call.loop}, call.next == no_state ? below : single({call.next}, below));
    if (!may_pop(top)) continue;
    const auto under = sets_.entries(below);
    for (const StackEntry& entry : std::vector<StackEntry>(under.begin(), under.end()))
      reach(entry.top, entry.below);
  }
  std::vector<StackEntry> closed;
  for (const auto& [top, reached] : tops)
    if (top.state <= Automaton::open || moves(top)) closed.push_back({top, reached.below});
  return sets_.intern(std::move(closed));
}

SetId Machine::compact(SetId keep) {
  auto [sets, id] = sets_.only(keep);
  sets_ = std::move(sets);
  steps_.clear();
  closed_.clear();
  return id;
}

}  // namespace rf::grammar
