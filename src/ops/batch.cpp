#include "ops/batch.h"

#include <algorithm>

#include "base/error.h"

namespace rf {

Batch::Batch(const BatchLimits& limits) : limits_(limits) {
  const auto rows = static_cast<std::size_t>(limits.rows),
             sequences = static_cast<std::size_t>(limits.sequences);
  wanted_at_ = 3 * rows;
  first_at_ = wanted_at_ + static_cast<std::size_t>(limits.wanted);
  states_at_ = first_at_ + sequences;
  pages_at_ = states_at_ + sequences;
  block_.resize(pages_at_ + sequences * static_cast<std::size_t>(limits.pages));
}

void Batch::clear() {
  best_only_ = false;
  rows_ = wanted_ = sequences_ = 0;
}

void Batch::add_sequence(std::span<const std::int32_t> pages, std::int32_t state) {
  if (sequences_ == limits_.sequences) fail("batch: more than {} sequences", limits_.sequences);
  if (pages.size() > static_cast<std::size_t>(limits_.pages))
    fail("batch: a sequence of {} pages, at most {} fit", pages.size(), limits_.pages);
  block_[first_at_ + static_cast<std::size_t>(sequences_)] = rows_;
  block_[states_at_ + static_cast<std::size_t>(sequences_)] = state;
  std::copy(
      pages.begin(), pages.end(),
      block_.begin() + static_cast<std::ptrdiff_t>(pages_at_ + static_cast<std::size_t>(sequences_) *
                                                                   static_cast<std::size_t>(limits_.pages)));
  ++sequences_;
}

void Batch::add_row(std::int32_t token, std::int32_t position, bool wanted) {
  if (rows_ == limits_.rows) fail("batch: more than {} rows", limits_.rows);
  if (wanted) {
    if (wanted_ == limits_.wanted) fail("batch: more than {} wanted rows", limits_.wanted);
    block_[wanted_at_ + static_cast<std::size_t>(wanted_++)] = rows_;
  }
  block_[at(0, rows_)] = token;
  block_[at(1, rows_)] = position;
  block_[at(2, rows_)] = sequences_ - 1;
  ++rows_;
}

int Batch::first_row_after(int sequence, std::int32_t token) const {
  const int end = first_row(sequence) + row_count(sequence);
  int row = first_row(sequence);
  while (row < end && block_[at(0, row)] != token) ++row;
  return std::min(row + 1, end);
}

double Batch::context() const {
  double total = 0;
  for (int r = 0; r < rows_; ++r) total += position(r) + 1;
  return total;
}

}  // namespace rf
