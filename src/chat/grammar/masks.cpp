#include "chat/grammar/masks.h"

#include <algorithm>
#include <limits>

namespace rf::grammar {
namespace {

constexpr std::size_t most_local_bytes = 64u << 20, most_mask_bytes = 32u << 20;
constexpr std::int64_t cheap = 1000;      // steps of a mask that is not worth keeping
constexpr std::size_t most_exits = 4096;  // that are kept whatever may follow
constexpr std::int32_t no_limit = std::numeric_limits<std::int32_t>::max();

void set_bit(std::span<std::uint64_t> bits, std::int32_t token) {
  bits[static_cast<std::size_t>(token) / 64] |= std::uint64_t{1} << (token % 64);
}

std::vector<std::uint64_t> words_of(const ByteSet& bytes) {
  std::vector<std::uint64_t> words(4, 0);
  for (std::size_t b = 0; b < 256; ++b) words[b / 64] |= std::uint64_t{bytes[b]} << (b % 64);
  return words;
}

}  // namespace

// Steps of one stack over one byte; a set that was not seen before counts as several.
struct Masks::Work {
  std::int64_t left = 8'000'000;
  bool spent() const { return left <= 0; }
};

std::size_t Masks::Local::bytes() const {
  return 64 + tokens.size() * 4 + up_to.size() * 8 + bits.size() * 8 + exits.size() * sizeof(Exit);
}

// Visits every node below `root` that `set` can reach, with the set there.
template <class Visit>
void Masks::walk(Machine& machine, SetId set, std::uint32_t root, Work& work, Visit&& visit) const {
  const TokenTrie& trie = *trie_;
  const std::uint32_t end = trie.node(root).end;
  const std::size_t base = trie.node(root).depth;
  std::vector<SetId> path{set};  // by depth below the root
  for (std::uint32_t i = root + 1; i < end && !work.spent();) {
    const TokenTrie::Node& node = trie.node(i);
    path.resize(node.depth - base);
    const std::size_t sets = machine.sets();
    const SetId next = machine.step(path.back(), node.byte);
    work.left -=
        static_cast<std::int64_t>(machine.entries(path.back()).size() + 16 * (machine.sets() - sets));
    if (next == StackSets::none) {
      i = node.end;
      continue;
    }
    visit(i, next);
    path.push_back(next);
    ++i;
  }
}

std::shared_ptr<const Masks::Mask> Masks::mask(Machine& machine, SetId set) const {
  const std::lock_guard lock(mutex_);
  const SetMark& mark = machine.mark(set);
  if (const auto at = masks_.find(mark); at != masks_.end()) return at->second;
  Work work;
  const std::int64_t before = work.left;
  auto made = std::make_shared<Mask>((static_cast<std::size_t>(trie_->vocab_size()) + 63) / 64, 0);
  add(machine, set, work, *made);
  if (before - work.left > cheap) {
    if (masks_.size() * made->size() * sizeof(std::uint64_t) > most_mask_bytes) masks_.clear();
    masks_.emplace(machine.mark(set), made);
  }
  return made;
}

void Masks::add(Machine& machine, SetId set, Work& work, std::span<std::uint64_t> allowed) const {
  const auto span = machine.entries(set);
  const std::vector<StackEntry> entries(span.begin(), span.end());
  for (const auto& [top, below] : entries) {
    if (top.state == Automaton::bottom) continue;
    std::int32_t most = no_limit, least = 0;
    if (top.loop >= 0) {
      const Automaton::Loop& loop = automaton_.loops[static_cast<std::size_t>(top.loop)];
      if (loop.max != unbounded) most = loop.max - top.round;
      least = loop.min - top.round;
    }
    const std::shared_ptr<const Local> local = this->local(machine, top, below, work);
    add_local(*local, most, allowed);
    const SetId after = machine.closed(below);
    for (const Exit& exit : local->exits)
      if (exit.rounds <= most && exit.rounds >= least)
        walk(machine, after, exit.node, work, [&](std::uint32_t node, SetId) {
          for (const std::int32_t token : trie_->tokens(node)) set_bit(allowed, token);
        });
  }
  if (!work.spent()) return;
  for (std::uint32_t i = 1; i < trie_->size(); i = trie_->node(i).end)
    if (!trie_->tokens(i).empty() && machine.step(set, trie_->node(i).byte) != StackSets::none)
      for (const std::int32_t token : trie_->tokens(i)) set_bit(allowed, token);
}

std::shared_ptr<const Masks::Local> Masks::local(Machine& machine, const Frame& frame, SetId below,
                                                 Work& work) const {
  const auto keep = [&](Key key, Local made) {
    if (locals_bytes_ > most_local_bytes) {
      locals_.clear();
      locals_bytes_ = 0;
    }
    locals_bytes_ += made.bytes();
    return locals_[std::move(key)] = std::make_shared<const Local>(std::move(made));
  };
  const auto find = [&](const Key& key) -> std::shared_ptr<const Local> {
    const auto at = locals_.find(key);
    return at == locals_.end() ? nullptr : at->second;
  };
  const bool loop = frame.loop >= 0;
  if (!loop) {
    const Key key{frame.state, false, {}};
    std::shared_ptr<const Local> any = find(key);
    if (any == nullptr) any = keep(key, of_frame(machine, frame.state, ByteSet().set(), true, work));
    if (any->complete) return any;
  }
  const ByteSet follow = machine.first_bytes(machine.closed(below));
  const Key key{frame.state, loop, words_of(follow)};
  if (auto found = find(key)) return found;
  return keep(
      key, loop ? of_loop(frame.state, follow, work) : of_frame(machine, frame.state, follow, false, work));
}

Masks::Local Masks::of_frame(Machine& machine, StateId state, const ByteSet& follow, bool all,
                             Work& work) const {
  Local local;
  const SetId from = machine.single({state}, machine.open());
  walk(machine, from, 0, work, [&](std::uint32_t node, SetId set) {
    const auto tokens = trie_->tokens(node);
    local.tokens.insert(local.tokens.end(), tokens.begin(), tokens.end());
    if (!local.complete || !machine.has(set, Automaton::open) || !trie_->has_child(node, follow)) return;
    local.exits.push_back({node, 0});
    local.complete = !all || local.exits.size() <= most_exits;
  });
  if (!local.complete) {
    local.tokens = {};
    local.exits = {};
  }
  pack(local);
  return local;
}

// A loop's body makes no calls, so its states are walked by themselves, counting rounds from 0.
Masks::Local Masks::of_loop(StateId start, const ByteSet& follow, Work& work) const {
  struct At {
    StateId state;
    std::int32_t rounds;
  };
  const TokenTrie& trie = *trie_;
  Local local;
  std::vector<std::pair<std::int32_t, std::int32_t>> found;  // rounds and token
  std::vector<At> path{{start, 0}};
  for (std::uint32_t i = 1; i < trie.size() && !work.spent();) {
    const TokenTrie::Node& node = trie.node(i);
    path.resize(node.depth);
    const At from = path.back();
    const StateId next = automaton_.next(from.state, node.byte);
    --work.left;
    if (next == no_state) {
      i = node.end;
      continue;
    }
    const std::int32_t rounds = from.rounds + (automaton_.state(from.state).accepting ? 1 : 0);
    for (const std::int32_t token : trie.tokens(i)) found.emplace_back(rounds, token);
    if (automaton_.state(next).accepting && trie.has_child(i, follow)) local.exits.push_back({i, rounds});
    path.push_back({next, rounds});
    ++i;
  }
  std::ranges::sort(found);
  for (const auto& [rounds, token] : found) {
    while (local.up_to.size() < static_cast<std::size_t>(rounds)) local.up_to.push_back(local.tokens.size());
    local.tokens.push_back(token);
  }
  local.up_to.push_back(local.tokens.size());
  pack(local);
  return local;
}

void Masks::pack(Local& local) const {
  const auto vocab = static_cast<std::size_t>(trie_->vocab_size());
  if (local.tokens.size() < vocab / 64) return;
  local.bits.assign((vocab + 63) / 64, 0);
  for (const std::int32_t token : local.tokens) set_bit(local.bits, token);
  if (local.up_to.empty()) local.tokens = {};
}

void Masks::add_local(const Local& local, std::int32_t most_rounds, std::span<std::uint64_t> allowed) const {
  std::size_t count = local.tokens.size();
  if (!local.up_to.empty() && static_cast<std::size_t>(most_rounds) < local.up_to.size())
    count = local.up_to[static_cast<std::size_t>(most_rounds)];
  const std::size_t others = local.tokens.size() - count;
  if (local.bits.empty() || (!local.tokens.empty() && count < others)) {
    for (std::size_t i = 0; i < count; ++i) set_bit(allowed, local.tokens[i]);
    return;
  }
  std::vector<std::uint64_t> bits = others > 0 ? local.bits : std::vector<std::uint64_t>();
  for (std::size_t i = count; i < local.tokens.size(); ++i)
    bits[static_cast<std::size_t>(local.tokens[i]) / 64] &= ~(std::uint64_t{1} << (local.tokens[i] % 64));
  const std::vector<std::uint64_t>& from = others > 0 ? bits : local.bits;
  for (std::size_t word = 0; word < from.size(); ++word) allowed[word] |= from[word];
}

}  // namespace rf::grammar
