// Sequence: the tokens of one request, prompt and answer, and how far the model has read them into the cache.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/page_folder.h"

namespace rf {

// The token after the last one is chosen from the logits of the last, hence a sequence always has at least
// one token that is not read yet: decoding is the case of exactly one.
struct Sequence {
  std::uint64_t id = 0;  // in the order of submission
  std::vector<std::int32_t> tokens;
  int priority = 0;  // higher ones are let in first; within one, lower ranks, then lower ids
  std::uint64_t rank = 0;
  bool whole = false;       // it is read in one batch, and shares nothing with others
  bool all_wanted = false;  // the results of all its rows, not that of the last alone

  // The scheduler's part.
  std::vector<std::int32_t> pages{};  // of the cache, in position order; empty while waiting
  int read = 0;                       // tokens whose keys and values lie in `pages`
  int published = 0;                  // of `pages`
  int cached = 0;                     // tokens found in the cache when it was first let in
  int left_off = 0;                   // tokens it had read when it was last sent back
  std::uint64_t served = 0;           // its last turn to be read, 0: had none
  int state = -1;                     // slot of its recurrent states while it runs
  int parted = 0;                     // tokens up to where others are known to have gone on differently
  std::int32_t newest_snapshot = -1;  // the page with the snapshot of its answer, -1: none
  std::shared_ptr<PageFolder::Fetch> fetch{};  // of its beginning while it waits for that; null: of nothing

  int unread() const { return static_cast<int>(tokens.size()) - read; }
};

}  // namespace rf
