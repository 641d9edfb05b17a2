#include "chat/grammar/stacks.h"

#include <algorithm>
#include <utility>

namespace rf::grammar {
namespace {

std::size_t hash_of(std::span<const StackEntry> entries) {
  std::uint64_t hash = entries.size();
  const auto mix = [&](std::int32_t value) {
    hash = (hash ^ static_cast<std::uint32_t>(value)) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  };
  for (const StackEntry& entry : entries) {
    mix(entry.top.state);
    mix(entry.top.loop);
    mix(entry.top.round);
    mix(entry.below);
  }
  return hash;
}

// Of an entry, whose place among the others says nothing.
SetMark mark_of(const Frame& top, const SetMark& below) {
  SetMark mark{0x243f6a8885a308d3u, 0x13198a2e03707344u};
  const auto mix = [&](std::uint64_t value) {
    mark.a = (mark.a ^ value) * 0x9e3779b97f4a7c15u;
    mark.a ^= mark.a >> 29;
    mark.b = (mark.b + value) * 0xd6e8feb86659fd93u;
    mark.b ^= mark.b >> 32;
  };
  mix(static_cast<std::uint32_t>(top.state));
  mix(static_cast<std::uint32_t>(top.loop));
  mix(static_cast<std::uint32_t>(top.round));
  mix(below.a);
  mix(below.b);
  return mark;
}

constexpr int deepest_merge = 64;  // beyond it, stacks with equal tops stay side by side

}  // namespace

SetId StackSets::intern(std::vector<StackEntry> entries) {
  std::ranges::sort(entries);
  entries.erase(std::unique(entries.begin(), entries.end()), entries.end());
  const std::size_t slot = slot_of(entries);
  if (table_[slot] >= 0) return table_[slot];
  const auto id = static_cast<SetId>(size());
  table_[slot] = id;
  SetMark mark{entries.size(), 0};
  for (const StackEntry& entry : entries) {
    const SetMark one = mark_of(entry.top, marks_[static_cast<std::size_t>(entry.below)]);
    mark.a += one.a;
    mark.b += one.b;
  }
  marks_.push_back(mark);
  entries_.insert(entries_.end(), entries.begin(), entries.end());
  begins_.push_back(entries_.size());
  if (size() * 2 > table_.size()) grow_table();
  return id;
}

std::size_t StackSets::slot_of(std::span<const StackEntry> wanted) const {
  const std::size_t mask = table_.size() - 1;
  std::size_t slot = hash_of(wanted) & mask;
  while (table_[slot] >= 0 && !std::ranges::equal(entries(table_[slot]), wanted)) slot = (slot + 1) & mask;
  return slot;
}

void StackSets::grow_table() {
  table_.assign(table_.size() * 2, -1);
  for (SetId id = 0; id < static_cast<SetId>(size()); ++id) table_[slot_of(entries(id))] = id;
}

SetId StackSets::unite(SetId a, SetId b, int depth) {
  if (a == b || b == none) return a;
  if (a == none) return b;
  std::vector<StackEntry> all(entries(a).begin(), entries(a).end());
  all.insert(all.end(), entries(b).begin(), entries(b).end());
  merge_equal_tops(all, depth);
  return intern(std::move(all));
}

void StackSets::merge_equal_tops(std::vector<StackEntry>& all, int depth) {
  std::ranges::sort(all);
  all.erase(std::unique(all.begin(), all.end()), all.end());
  if (depth == deepest_merge) return;
  std::size_t kept = 0;
  for (const StackEntry& entry : all) {
    if (kept > 0 && all[kept - 1].top == entry.top)
      all[kept - 1].below = unite(all[kept - 1].below, entry.below, depth + 1);
    else
      all[kept++] = entry;
  }
  all.resize(kept);
}

// A set is made after all that it is made of, so its number is larger.
std::pair<StackSets, SetId> StackSets::only(SetId set) const {
  std::vector<bool> wanted(static_cast<std::size_t>(set) + 1, false);
  wanted[static_cast<std::size_t>(set)] = true;
  for (SetId id = set; id >= 0; --id)
    if (wanted[static_cast<std::size_t>(id)])
      for (const StackEntry& entry : entries(id)) wanted[static_cast<std::size_t>(entry.below)] = true;
  StackSets kept;
  std::vector<SetId> number(wanted.size(), none);
  for (SetId id = 1; id <= set; ++id) {
    if (!wanted[static_cast<std::size_t>(id)]) continue;
    std::vector<StackEntry> copy(entries(id).begin(), entries(id).end());
    for (StackEntry& entry : copy) entry.below = number[static_cast<std::size_t>(entry.below)];
    number[static_cast<std::size_t>(id)] = kept.intern(std::move(copy));
  }
  const SetId last = number[static_cast<std::size_t>(set)];
  return {std::move(kept), last};
}

}  // namespace rf::grammar
