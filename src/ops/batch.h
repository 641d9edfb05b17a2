// Batch: all that changes from one step of the engine to the next, in one block of integers.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace rf {

// The most that one batch can hold; buffers are laid out for it once.
struct BatchLimits {
  int rows = 512;   // tokens
  int wanted = 16;  // rows whose logits are computed
  int sequences = 16;
  int pages = 64;  // of one sequence
};

// Rows of one sequence are consecutive and in position order.
class Batch {
 public:
  explicit Batch(const BatchLimits& limits);

  void clear();
  // Starts a sequence whose pages (cache page numbers, in position order) cover every position added to it,
  // and whose recurrent states lie in slot `state`, no other sequence's.
  void add_sequence(std::span<const std::int32_t> pages, std::int32_t state = 0);
  // Adds a row to the sequence started last. Positions must follow each other.
  void add_row(std::int32_t token, std::int32_t position, bool wanted);

  // Of each wanted row, the best_candidates highest logits will do (ops/candidate.h), until clear().
  void ask_for_best() { best_only_ = true; }

  bool best_only() const { return best_only_; }
  int rows() const { return rows_; }
  int sequences() const { return sequences_; }
  int wanted() const { return wanted_; }
  const BatchLimits& limits() const { return limits_; }
  std::int32_t token(int row) const { return block_[at(0, row)]; }
  std::int32_t position(int row) const { return block_[at(1, row)]; }
  std::int32_t sequence(int row) const { return block_[at(2, row)]; }
  std::int32_t wanted_row(int i) const { return block_[wanted_at_ + static_cast<std::size_t>(i)]; }
  int first_row(int sequence) const { return block_[first_at_ + static_cast<std::size_t>(sequence)]; }
  int row_count(int sequence) const {
    return (sequence + 1 < sequences_ ? first_row(sequence + 1) : rows_) - first_row(sequence);
  }
  const std::int32_t* pages(int sequence) const {
    return block_.data() + pages_at_ +
           static_cast<std::size_t>(sequence) * static_cast<std::size_t>(limits_.pages);
  }
  std::int32_t state(int sequence) const { return block_[states_at_ + static_cast<std::size_t>(sequence)]; }
  // The first row of the sequence behind one that holds `token`; its end if none does.
  int first_row_after(int sequence, std::int32_t token) const;
  // Positions that attention reads, summed over rows.
  double context() const;

 private:
  std::size_t at(int array, int row) const {
    return static_cast<std::size_t>(array) * static_cast<std::size_t>(limits_.rows) +
           static_cast<std::size_t>(row);
  }
  BatchLimits limits_;
  int rows_ = 0, wanted_ = 0, sequences_ = 0;
  bool best_only_ = false;
  std::size_t wanted_at_ = 0, first_at_ = 0, states_at_ = 0, pages_at_ = 0;
  // tokens | positions | sequences of rows | wanted rows | first rows of sequences | state slots | page
  // tables
  std::vector<std::int32_t> block_;
};

}  // namespace rf
