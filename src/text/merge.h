// Pair merging, the core of byte-pair encoding: of all neighbours that may join, the best join first.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/unicode.h"

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
  void start() { symbols_.clear(); }

  void add(std::uint32_t begin, std::uint32_t end, std::int32_t token) {
    const auto index = static_cast<std::int32_t>(symbols_.size());
    if (index > 0) symbols_.back().right = index;
    symbols_.push_back({begin, end, token, index - 1, -1});
  }

  // Starts with the characters of `word`, well-formed UTF-8; token_of(character) may be -1.
  template <class TokenOf>
  void start_characters(std::string_view word, const TokenOf& token_of) {
    start();
    for (std::uint32_t at = 0; at < word.size();) {
      const std::uint32_t end = at + first_utf8(word.substr(at)).bytes;
      add(at, end, token_of(word.substr(at, end - at)));
      at = end;
    }
  }

  // Gives what is left, from left to right, to take(symbol).
  template <class Take>
  void finish(const Take& take) const {
    for (std::int32_t i = symbols_.empty() ? -1 : 0; i >= 0;) {
      const Symbol& symbol = symbols_[static_cast<std::size_t>(i)];
      take(symbol);
      i = symbol.right;
    }
  }

  // join(left, right) says whether and as what two neighbours may join: std::optional<Joined>.
  template <class Join>
  void merge(const Join& join) {
    if (symbols_.size() <= few)
      merge_few(join);
    else
      merge_many(join);
  }

 private:
  // Most words are so short that looking through their pairs is quicker than keeping them in order.
  static constexpr std::size_t few = 24;
  static constexpr std::uint64_t never = ~std::uint64_t{0};
  struct Pair {
    std::uint64_t priority;
    std::int32_t token;
  };

  template <class Join>
  void merge_few(const Join& join) {
    std::array<Pair, few> pairs{};  // of each symbol with the next
    std::size_t count = symbols_.size();
    const auto rate = [&](std::size_t i) {
      const std::optional<Joined> joined = join(symbols_[i], symbols_[i + 1]);
      pairs[i] = joined ? Pair{joined->priority, joined->token} : Pair{never, -1};
    };
    for (std::size_t i = 0; i + 1 < count; ++i) rate(i);
    while (count > 1) {
      std::size_t best = 0;
      for (std::size_t i = 1; i + 1 < count; ++i)
        if (pairs[i].priority < pairs[best].priority) best = i;
      if (pairs[best].priority == never) break;
      symbols_[best].end = symbols_[best + 1].end;
      symbols_[best].token = pairs[best].token;
      --count;
      for (std::size_t i = best + 1; i < count; ++i) symbols_[i] = symbols_[i + 1];
      for (std::size_t i = best; i + 1 < count; ++i) pairs[i] = pairs[i + 1];
      if (best > 0) rate(best - 1);
      if (best + 1 < count) rate(best);
    }
    symbols_.resize(count);
    for (std::size_t i = 0; i < count; ++i) symbols_[i].right = static_cast<std::int32_t>(i + 1);
    if (count > 0) symbols_.back().right = -1;
  }

  template <class Join>
  void merge_many(const Join& join) {
    heap_.clear();
    for (std::int32_t i = 0; i + 1 < static_cast<std::int32_t>(symbols_.size()); ++i) offer(i, join);
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

  struct Candidate {
    std::uint32_t priority;
    std::int32_t left;
    std::uint32_t end;
    std::int32_t token;
  };

  Symbol& at(std::int32_t index) { return symbols_[static_cast<std::size_t>(index)]; }

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

  std::vector<Symbol> symbols_;  // linked from the first
  std::vector<Candidate> heap_;
};

}  // namespace rf
