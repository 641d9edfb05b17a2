// ReferenceCache: the reference backend's cache of one layer, exact but for the rounding of the stored type.
#pragma once
#include <cstddef>
#include <vector>

#include "ops/backend.h"

namespace rf {

// Rounds values[n] in place to what a cache of `type` gives back. Quantised types work on blocks of 32 along
// a head (a head's last block may be shorter): q8_0 with codes of 1/127 of the largest magnitude, q4_0 with
// codes of -1/8 of the value of largest magnitude, each under an f16 scale (ggml's block formats).
void round_to(KvType type, float* values, int n);

// [page][position in page][K heads | V heads], values as f32 after rounding.
class ReferenceCache {
 public:
  ReferenceCache(const Cache& cache, const RunLimits& limits);

  // The K heads of a position, followed by its V heads; `pages` is its sequence's page table.
  float* at(const std::int32_t* pages, int position) {
    const auto page = static_cast<std::size_t>(pages[position / page_tokens_]);
    const auto slot = static_cast<std::size_t>(position % page_tokens_);
    return values_.data() + (page * static_cast<std::size_t>(page_tokens_) + slot) * width_;
  }
  // Takes in a position's K heads and V heads.
  void store(const std::int32_t* pages, int position, const float* keys, const float* values);

  float* page(int page) { return values_.data() + static_cast<std::size_t>(page) * page_floats(); }
  std::size_t page_floats() const { return static_cast<std::size_t>(page_tokens_) * width_; }

 private:
  Cache cache_;
  KvType type_;
  int page_tokens_;
  std::size_t width_;
  std::vector<float> values_;
};

}  // namespace rf
