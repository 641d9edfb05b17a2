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
    if (const std::int32_t known = places_.find(word); known >= 0) {
      const Place place = list_[static_cast<std::size_t>(known)];
      ids.resize(old + place.count);
      for (std::size_t i = 0; i < place.count; ++i) ids[old + i] = ids_[place.begin + i];
      return;
    }
    encode(word, ids);
    if (list_.size() == most) return;
    places_.insert(copy_of(word), static_cast<std::int32_t>(list_.size()));
    list_.push_back({ids_.size(), ids.size() - old});
    ids_.insert(ids_.end(), ids.begin() + static_cast<std::ptrdiff_t>(old), ids.end());
  }

 private:
  static constexpr std::size_t longest = 1024, most = 1 << 18;
  struct Place {
    std::size_t begin, count;  // in ids_
  };

  std::string_view copy_of(std::string_view word) {
    char* copy = static_cast<char*>(bytes_.allocate(word.size(), 1));
    std::copy(word.begin(), word.end(), copy);
    return {copy, word.size()};
  }

  StringTable places_;  // number in list_ by word
  std::vector<Place> list_;
  std::vector<std::int32_t> ids_;
  std::pmr::monotonic_buffer_resource bytes_;
};

}  // namespace rf
