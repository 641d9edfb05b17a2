// Pair merging, the core of byte-pair encoding: of all neighbours that may join, the best join first.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace rf {

// A part of a word; its neighbours are numbers of symbols, -1 where there is none.
struct Symbol {
  std::uint32_t begin, end;  // bytes of the word; end == begin once it was joined to the one on its left
  std::int32_t token;        // -1: no token has this text
  std::int32_t left, right;
};

struct Joined {
  std::uint32_t priority;  // lower joins earlier; of equals the leftmost
  std::int32_t token;
};

// Joins symbols until none may join: n log n for n symbols. Reused between words to spare allocations.
class Merger {
 public:
  std::vector<Symbol> symbols;  // those of the word, then what is left of them, linked from symbols[0]

  void add(std::uint32_t begin, std::uint32_t end, std::int32_t token) {
    const auto index = static_cast<std::int32_t>(symbols.size());
    if (index > 0) symbols.back().right = index;
    symbols.push_back({begin, end, token, index - 1, -1});
  }

  // join(left, right) says whether and as what two neighbours may join: std::optional<Joined>.
  template <class Join>
  void merge(const Join& join) {
    heap_.clear();
    for (std::int32_t i = 0; i + 1 < static_cast<std::int32_t>(symbols.size()); ++i) offer(i, join);
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), later);
      const Candidate best = heap_.back();
      heap_.pop_back();
      Symbol& left = at(best.left);
      // Symbols only grow, so that a pair still ends where it did says that it is the same pair.
      if (left.begin == left.end || left.right < 0 || at(left.right).end != best.end) continue;
      Symbol& right = at(left.right);
      left.end = right.end;
      left.token = best.token;
      right.begin = right.end;
      left.right = right.right;
      if (left.right >= 0) {
        at(left.right).left = best.left;
        offer(best.left, join);
      }
      if (left.left >= 0) offer(left.left, join);
    }
  }

 private:
  struct Candidate {
    std::uint32_t priority;
    std::int32_t left;
    std::uint32_t end;
    std::int32_t token;
  };

  Symbol& at(std::int32_t index) { return symbols[static_cast<std::size_t>(index)]; }

  static bool later(const Candidate& a, const Candidate& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.left > b.left;
  }

  template <class Join>
  void offer(std::int32_t index, const Join& join) {
    const Symbol& left = at(index);
    const Symbol& right = at(left.right);
    const std::optional<Joined> joined = join(left, right);
    if (!joined) return;
    heap_.push_back({joined->priority, index, right.end, joined->token});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  std::vector<Candidate> heap_;
};

}  // namespace rf
