#include "chat/grammar/rules.h"

#include <functional>

#include "base/error.h"

namespace rf::grammar {
namespace {

std::size_t hash_of(const Part& part) {
  std::size_t hash = std::hash<ByteSet>()(part.bytes) ^ static_cast<std::size_t>(part.kind);
  const auto mix = [&](std::int32_t value) {
    hash = (hash ^ static_cast<std::size_t>(value)) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
  };
  mix(part.min);
  mix(part.max);
  for (const std::int32_t id : part.ids) mix(id);
  return hash;
}

}  // namespace

PartId Rules::byte(char c) {
  const auto code = static_cast<unsigned char>(c);
  return range(code, code);
}

PartId Rules::range(unsigned low, unsigned high) {
  ByteSet set;
  for (unsigned b = low; b <= high; ++b) set.set(b);
  return bytes(set);
}

PartId Rules::literal(std::string_view text) {
  std::vector<PartId> parts;
  parts.reserve(text.size());
  for (const char c : text) parts.push_back(byte(c));
  return sequence(std::move(parts));
}

PartId Rules::sequence(std::vector<PartId> parts) {
  if (parts.size() == 1) return parts[0];
  return add({.kind = Part::Kind::sequence, .ids = std::move(parts)});
}

PartId Rules::choice(std::vector<PartId> parts) {
  if (parts.size() == 1) return parts[0];
  return add({.kind = Part::Kind::choice, .ids = std::move(parts)});
}

PartId Rules::repeat(PartId part, std::int32_t min, std::int32_t max) {
  if (min == 1 && max == 1) return part;
  if (max == 0) return sequence({});
  return add({.kind = Part::Kind::repeat, .ids = {part}, .min = min, .max = max});
}

PartId Rules::graph(Graph graph) {
  if (graph.states.empty()) return choice({});
  size_ += graph.states.size();
  graphs_.push_back(std::move(graph));
  return add({.kind = Part::Kind::graph, .ids = {static_cast<std::int32_t>(graphs_.size()) - 1}});
}

RuleId Rules::add_rule(std::string name, bool shared) {
  if (++size_ > max_parts) fail("the grammar is too large: expected at most {} parts", max_parts);
  rules_.push_back({std::move(name), shared});
  return static_cast<RuleId>(rules_.size()) - 1;
}

PartId Rules::add(Part part) {
  const std::size_t hash = hash_of(part);
  const auto [first, last] = index_.equal_range(hash);
  for (auto at = first; at != last; ++at)
    if (parts_[static_cast<std::size_t>(at->second)] == part) return at->second;
  size_ += 1 + part.ids.size();
  if (size_ > max_parts) fail("the grammar is too large: expected at most {} parts", max_parts);
  parts_.push_back(std::move(part));
  const auto id = static_cast<PartId>(parts_.size()) - 1;
  index_.emplace(hash, id);
  return id;
}

}  // namespace rf::grammar
