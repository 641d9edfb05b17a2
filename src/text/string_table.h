// StringTable: strings to numbers, fast to fill and to ask; owns neither its keys' bytes nor an order.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace rf {

// Mixes 64 bits into 64 well-spread ones (the finaliser of SplitMix64).
inline std::uint64_t mix_bits(std::uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

// Open addressing with linear probing, at most half full. Keys must outlive the table.
class StringTable {
 public:
  static constexpr std::int32_t absent = -1;

  explicit StringTable(std::size_t expected = 0) { slots_.resize(capacity_for(expected)); }

  std::size_t size() const { return size_; }

  // Keeps the value that is there; says whether `key` was new. value >= 0, key shorter than 4 GiB.
  bool insert(std::string_view key, std::int32_t value) {
    if (2 * (size_ + 1) > slots_.size()) grow();
    Slot& slot = slots_[place_of(key)];
    if (slot.value != absent) return false;
    slot = {key.data(), static_cast<std::uint32_t>(key.size()), value};
    ++size_;
    return true;
  }

  std::int32_t find(std::string_view key) const { return slots_[place_of(key)].value; }

 private:
  struct Slot {
    const char* data = nullptr;
    std::uint32_t size = 0;
    std::int32_t value = absent;
  };

  static std::size_t capacity_for(std::size_t expected) {
    std::size_t capacity = 16;
    while (capacity < 2 * (expected + 1)) capacity *= 2;
    return capacity;
  }

  static std::uint64_t hash(std::string_view key) {
    std::uint64_t state = 0x9e3779b97f4a7c15u ^ key.size();
    std::size_t at = 0;
    for (; key.size() - at > 8; at += 8) state = mix_bits(state ^ word(key.data() + at, 8)) + at;
    return mix_bits(state ^ word(key.data() + at, key.size() - at));
  }

  static std::uint64_t word(const char* data, std::size_t bytes) {
    std::uint64_t value = 0;
    if (bytes != 0) std::memcpy(&value, data, bytes);
    return value;
  }

  // Where `key` is, or the free slot where it would go.
  std::size_t place_of(std::string_view key) const {
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash(key) & mask;; at = (at + 1) & mask) {
      const Slot& slot = slots_[at];
      if (slot.value == absent || std::string_view(slot.data, slot.size) == key) return at;
    }
  }

  void grow() {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    for (const Slot& slot : old)
      if (slot.value != absent) slots_[place_of({slot.data, slot.size})] = slot;
  }

  std::vector<Slot> slots_;  // a power of two
  std::size_t size_ = 0;
};

}  // namespace rf
