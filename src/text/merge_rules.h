// MergeRules: which neighbouring tokens join, as tokenizer.ggml.merges ranks them.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "text/merge.h"
#include "text/pair_table.h"
#include "text/vocabulary.h"

namespace rf {

class MergeRules {
 public:
  // A merge that names or gives a text which is no token can never apply and is passed over; of two merges of
  // the same tokens the first counts. Throws Error naming the file, the key and the entry.
  MergeRules(const Gguf& file, const Vocabulary& vocabulary);

  std::optional<Joined> operator()(const Symbol& left, const Symbol& right) const {
    const std::uint32_t rank = pairs_.find(left.token, right.token);
    if (rank == PairTable::absent) return std::nullopt;
    return Joined{rank, joined_[rank]};
  }

  const std::vector<std::int32_t>& results() const { return joined_; }  // by rank

 private:
  PairTable pairs_;                   // rank by tokens
  std::vector<std::int32_t> joined_;  // by rank: the token of both
};

}  // namespace rf
