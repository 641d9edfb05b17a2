// Embedder: makes the embedding of one text out of the hidden states of its positions.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "ops/program.h"

namespace rf {

// none, mean, cls, last or rank. Throws Error listing them.
Pooling pooling_by_name(std::string_view name);

class Embedder {
 public:
  // `program` must outlive it and be one that embeds. Throws Error for rank where it has no classifier.
  Embedder(const Program& program, Pooling pooling, bool normalise);

  // Whether it needs the rows of all positions, or that of the last one alone.
  bool wants_all() const { return rows_ != Pooling::last; }
  // The hidden states of further positions, f32 [n, hidden], of the first of which `first` is the position; 0
  // starts anew.
  void add(int first, std::span<const float> rows);

  // f32 [size of the embedding]; without pooling one for each position. Of unit length where that was asked
  // for, but not for rank: its values are the classifier's scores.
  std::vector<float> result() const;

 private:
  const Program& program_;
  Pooling pooling_;
  Pooling rows_;  // what becomes of the positions' rows: off, mean, cls or last
  bool normalise_;
  std::size_t hidden_;
  std::size_t count_ = 0;    // positions so far
  std::vector<double> sum_;  // [hidden], or all rows without pooling
};

}  // namespace rf
