// WordCache: the ids of words that one text repeats.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory_resource>
#include <string_view>
#include <vector>

#include "text/string_table.h"

namespace rf {

// Lives as long as one call of Tokenizer::encode; keeps its own copies of words and ids.
class WordCache {
 public:
  // Appends the ids of `word` to `ids`, asking `encode(word, ids)` to append them the first time.
  template <class Encode>
  void append(std::string_view word, std::vector<std::int32_t>& ids, const Encode& encode) {
    if (word.size() > longest) return encode(word, ids);
    const std::size_t old = ids.size();
    if (const std::int32_t place = places_.find(word); place >= 0) {
      const std::int32_t* known = &ids_[static_cast<std::size_t>(place)];
      const auto count = static_cast<std::size_t>(*known);
      ids.resize(old + count);
      for (std::size_t i = 0; i < count; ++i) ids[old + i] = known[1 + i];
      return;
    }
    encode(word, ids);
    if (places_.size() == most) return;
    places_.insert(copy_of(word), static_cast<std::int32_t>(ids_.size()));
    ids_.push_back(static_cast<std::int32_t>(ids.size() - old));
    ids_.insert(ids_.end(), ids.begin() + static_cast<std::ptrdiff_t>(old), ids.end());
  }

 private:
  static constexpr std::size_t longest = 1024, most = 1 << 18;

  std::string_view copy_of(std::string_view word) {
    char* copy = static_cast<char*>(bytes_.allocate(word.size(), 1));
    std::copy(word.begin(), word.end(), copy);
    return {copy, word.size()};
  }

  StringTable places_;             // in ids_, by word
  std::vector<std::int32_t> ids_;  // of each word: how many it has, then these
  std::pmr::monotonic_buffer_resource bytes_;
};

}  // namespace rf
