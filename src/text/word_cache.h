// WordCache: the ids of words that one text repeats.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/string_table.h"

namespace rf {

// Lives as long as one call of encode: its keys are views into the text that is encoded.
class WordCache {
 public:
  // Appends the ids of `word` to `ids`, asking `encode(word, ids)` to append them the first time.
  template <class Encode>
  void append(std::string_view word, std::vector<std::int32_t>& ids, const Encode& encode) {
    if (word.size() > longest) return encode(word, ids);
    if (const std::int32_t known = places_.find(word); known >= 0) {
      const Place place = list_[static_cast<std::size_t>(known)];
      const std::size_t old = ids.size();
      ids.resize(old + place.count);
      for (std::size_t i = 0; i < place.count; ++i) ids[old + i] = ids[place.begin + i];
      return;
    }
    const std::size_t begin = ids.size();
    encode(word, ids);
    if (list_.size() == most) return;
    places_.insert(word, static_cast<std::int32_t>(list_.size()));
    list_.push_back({begin, ids.size() - begin});
  }

 private:
  static constexpr std::size_t longest = 64, most = 1 << 18;
  struct Place {
    std::size_t begin, count;  // in `ids`, which only grows
  };

  StringTable places_;  // number in list_ by word
  std::vector<Place> list_;
};

}  // namespace rf
