// StringTable: strings to numbers, fast to fill and to ask; owns neither its keys' bytes nor an order.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
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

  explicit StringTable(std::size_t expected = 0) : slots_(capacity_for(expected)), marks_(slots_.size()) {}

  std::size_t size() const { return size_; }

  // Keeps the value that is there; says whether `key` was new. value >= 0, key shorter than 4 GiB.
  bool insert(std::string_view key, std::int32_t value) {
    if (2 * (size_ + 1) > slots_.size()) grow();
    const std::uint64_t hashed = hash(key);
    const std::size_t at = place_of(key, hashed);
    if (marks_[at] != free) return false;
    put(at, hashed, {head_of(key), key.data(), static_cast<std::uint32_t>(key.size()), value});
    ++size_;
    return true;
  }

  std::int32_t find(std::string_view key) const {
    const std::size_t at = place_of(key, hash(key));
    return marks_[at] == free ? absent : slots_[at].value;
  }

 private:
  static std::uint64_t hash(std::string_view key) {
    std::uint64_t state = 0x9e3779b97f4a7c15u ^ key.size();
    for (; key.size() > 8; key.remove_prefix(8)) state = mix_bits(state ^ head_of(key));
    return mix_bits(state ^ head_of(key));
  }

  // The key's first bytes lie in the slot: most questions are answered without a look at the key itself.
  struct Slot {
    std::uint64_t head = 0;
    const char* data = nullptr;
    std::uint32_t size = 0;
    std::int32_t value = absent;

    bool holds(std::string_view key, std::uint64_t key_head) const {
      return size == key.size() && head == key_head &&
             (size <= 8 || std::memcmp(data + 8, key.data() + 8, size - 8) == 0);
    }
  };

  static std::size_t capacity_for(std::size_t expected) {
    std::size_t capacity = 16;
    while (capacity < 2 * (expected + 1)) capacity *= 2;
    return capacity;
  }

  // The first 8 bytes, padded with zeros.
  static std::uint64_t head_of(std::string_view key) {
    const char* data = key.data();
    if (key.size() >= 8) return load<std::uint64_t>(data);
    if (key.size() >= 4)
      return load<std::uint32_t>(data) |
             static_cast<std::uint64_t>(load<std::uint32_t>(data + key.size() - 4)) << 8 * (key.size() - 4);
    std::uint64_t head = 0;
    for (std::size_t i = 0; i < key.size(); ++i)
      head |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(data[i])) << 8 * i;
    return head;
  }

  template <class T>
  static T load(const char* data) {
    T value;
    std::memcpy(&value, data, sizeof value);
    return value;
  }

  // Of a hash, by other bits than the place; never that of a free slot.
  static std::uint8_t mark_of(std::uint64_t hashed) { return static_cast<std::uint8_t>(hashed >> 56 | 1); }

  // Where `key` is, or the free slot where it would go.
  std::size_t place_of(std::string_view key, std::uint64_t hashed) const {
    const std::size_t mask = slots_.size() - 1;
    const std::uint64_t head = head_of(key);
    const std::uint8_t mark = mark_of(hashed);
    for (std::size_t at = hashed & mask;; at = (at + 1) & mask)
      if (marks_[at] == free || (marks_[at] == mark && slots_[at].holds(key, head))) return at;
  }

  void put(std::size_t at, std::uint64_t hashed, const Slot& slot) {
    slots_[at] = slot;
    marks_[at] = mark_of(hashed);
  }

  void grow() {
    const std::vector<Slot> old = std::move(slots_);
    slots_ = std::vector<Slot>(2 * old.size());
    marks_.assign(slots_.size(), free);
    for (const Slot& slot : old) {
      if (slot.value == absent) continue;
      const std::string_view key(slot.data, slot.size);
      const std::uint64_t hashed = hash(key);
      put(place_of(key, hashed), hashed, slot);
    }
  }

  static constexpr std::uint8_t free = 0;
  std::vector<Slot> slots_;  // a power of two
  // A byte for each slot: what is not there, as most texts that are asked for, is found out in the cache.
  std::vector<std::uint8_t> marks_;
  std::size_t size_ = 0;
};

}  // namespace rf
