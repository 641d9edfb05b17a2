#include "text/byte_trie.h"

#include <algorithm>

namespace rf {

ByteTrie::ByteTrie(std::vector<Key> keys) {
  std::sort(keys.begin(), keys.end(), [](const Key& a, const Key& b) {
    return a.text != b.text ? a.text < b.text : a.value < b.value;
  });
  struct Range {
    std::size_t begin, end;  // the keys that go through a node
  };
  std::vector<Range> level{{0, keys.size()}}, next;
  labels_.push_back(0);
  for (std::size_t depth = 0; !level.empty(); ++depth, level.swap(next)) {
    next.clear();
    for (Range range : level) {
      // What ends here sorts first.
      values_.push_back(-1);
      for (; range.begin < range.end && keys[range.begin].text.size() == depth; ++range.begin)
        if (depth > 0 && values_.back() < 0) values_.back() = keys[range.begin].value;
      first_children_.push_back(static_cast<std::uint32_t>(labels_.size()));
      while (range.begin < range.end) {
        const char label = keys[range.begin].text[depth];
        const std::size_t begin = range.begin;
        while (range.begin < range.end && keys[range.begin].text[depth] == label) ++range.begin;
        labels_.push_back(label);
        next.push_back({begin, range.begin});
      }
    }
  }
  first_children_.push_back(static_cast<std::uint32_t>(labels_.size()));
}

}  // namespace rf
