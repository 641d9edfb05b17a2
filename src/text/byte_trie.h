// ByteTrie: the keys that a text begins with, found byte by byte.
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace rf {

class ByteTrie {
 public:
  struct Key {
    std::string_view text;
    std::int32_t value;  // >= 0
  };

  ByteTrie() : ByteTrie(std::vector<Key>()) {}
  // Empty keys are passed over; of equal keys that with the lowest value counts. Keeps none of the texts.
  explicit ByteTrie(std::vector<Key> keys);

  // Calls take(bytes, value) for every key that `text` begins with, the shortest first.
  template <class Take>
  void prefixes(std::string_view text, const Take& take) const {
    std::size_t node = 0;
    for (std::size_t depth = 0; depth < text.size(); ++depth) {
      const std::size_t first = first_children_[node], count = first_children_[node + 1] - first;
      const void* found = count == 0 ? nullptr : std::memchr(&labels_[first], text[depth], count);
      if (found == nullptr) return;
      node = static_cast<std::size_t>(static_cast<const char*>(found) - labels_.data());
      if (values_[node] >= 0) take(depth + 1, values_[node]);
    }
  }

 private:
  // Nodes in the order of their depth, so that the children of each lie side by side; 0 is the root.
  std::vector<char> labels_;                   // the byte that leads to the node
  std::vector<std::int32_t> values_;           // -1: no key ends here
  std::vector<std::uint32_t> first_children_;  // the end of a node's children is the beginning of the next's
};

}  // namespace rf
