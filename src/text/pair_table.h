// PairTable: pairs of tokens to the rank of their merge.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "text/string_table.h"

namespace rf {

// Open addressing with linear probing, at most half full.
class PairTable {
 public:
  static constexpr std::uint32_t absent = ~std::uint32_t{0};

  explicit PairTable(std::size_t most = 0) {  // the number of pairs it can hold
    std::size_t capacity = 16;
    while (capacity < 2 * (most + 1)) capacity *= 2;
    slots_.resize(capacity);
  }

  // Keeps the rank that is there; says whether the pair was new. Tokens >= 0.
  bool insert(std::int32_t left, std::int32_t right, std::uint32_t rank) {
    Slot& slot = slots_[place_of(key_of(left, right))];
    if (slot.rank != absent) return false;
    slot = {key_of(left, right), rank};
    return true;
  }

  std::uint32_t find(std::int32_t left, std::int32_t right) const {
    return slots_[place_of(key_of(left, right))].rank;
  }

 private:
  struct Slot {
    std::uint64_t key = 0;
    std::uint32_t rank = absent;
  };

  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }

  std::size_t place_of(std::uint64_t key) const {
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = mix_bits(key) & mask;; at = (at + 1) & mask)
      if (slots_[at].rank == absent || slots_[at].key == key) return at;
  }

  std::vector<Slot> slots_;  // a power of two
};

}  // namespace rf
