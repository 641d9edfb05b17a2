// A scheduler with its cache over a model that is a sum, so that a wrong page shows at once.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <numeric>

#include "engine/scheduler.h"

namespace rf::test {

// A scheduler whose model is a sum over the cache: the next token depends on every token that the batch's
// pages hold for its sequence, hence on their being the right ones. With snapshots (-1: without) it also has
// a recurrent state, the same sum over the rows it has seen, which must agree.
class World : private CacheMemory {
 public:
  World(int pages, int page_tokens, const BatchLimits& limits, int snapshots = -1,
        PageStore::Options outside = {})
      : states_(static_cast<std::size_t>(snapshots < 0 ? 0 : limits.sequences + snapshots), -7),
        cache_(static_cast<std::size_t>(pages * page_tokens), -1),
        page_bytes_(static_cast<std::size_t>(page_tokens) * sizeof(std::int32_t)),
        store(*this, with_pages_of(page_tokens, outside)),
        cache({.pages = pages,
               .page_tokens = page_tokens,
               .snapshots = std::max(snapshots, 0),
               .first_snapshot = limits.sequences},
              store),
        pool(cache.pages()),
        scheduler(cache, limits) {}

  Sequence& add(std::vector<std::int32_t> tokens) {
    Sequence& s = sequences_.emplace_back(Sequence{.id = sequences_.size() + 1, .tokens = std::move(tokens)});
    scheduler.add(s);
    return s;
  }

  // One step: rows by sequence id.
  std::map<std::uint64_t, int> step() {
    std::map<std::uint64_t, int> rows;
    if (!scheduler.next()) return rows;
    const Batch& batch = scheduler.batch();
    last_rows = batch.rows();
    std::vector<std::int32_t> answers;
    for (int r = 0, next = 0; r < batch.rows(); ++r) {
      const std::int32_t* pages = batch.pages(batch.sequence(r));
      at(pages, batch.position(r)) = batch.token(r);
      if (!states_.empty()) {
        std::int32_t& seen = state(batch.state(batch.sequence(r)));
        seen = ((batch.position(r) == 0 ? 0 : seen) * 31 + batch.token(r) + 1) % 1009;
      }
      if (next == batch.wanted() || batch.wanted_row(next) != r) continue;
      std::int32_t sum = 0;
      for (int p = 0; p <= batch.position(r); ++p) sum = (sum * 31 + at(pages, p) + 1) % 1009;
      if (!states_.empty()) {
        EXPECT_EQ(state(batch.state(batch.sequence(r))), sum);
      }
      answers.push_back(sum);
      ++next;
    }
    for (const Scheduler::Piece& piece : scheduler.advance()) {
      rows[piece.sequence->id] = piece.rows;
      if (piece.wanted >= 0)
        piece.sequence->tokens.push_back(answers[static_cast<std::size_t>(piece.wanted)]);
    }
    return rows;
  }

  // As after the memory was lost.
  void scramble() {
    std::ranges::fill(cache_, -9);
    std::ranges::fill(states_, -9);
  }
  // Until nothing is left to be saved.
  void save() {
    while (cache.unsaved()) {
      store.folder()->wait_for_room();
      cache.save_one();
    }
  }

 private:
  static PageStore::Options with_pages_of(int page_tokens, PageStore::Options options) {
    options.page_tokens = page_tokens;
    return options;
  }
  std::size_t page_bytes() const override { return page_bytes_; }
  void read_page(int page, std::byte* out) override { std::memcpy(out, page_at(page), page_bytes_); }
  void write_page(int page, const std::byte* in) override {
    std::memcpy(page_at(page), in, page_bytes_);
    ++pages_brought_back;
  }
  std::size_t state_bytes() const override { return states_.empty() ? 0 : sizeof(std::int32_t); }
  void copy_state(int from, int to) override { state(to) = state(from), ++copies; }
  void read_state(int slot, std::byte* out) override { std::memcpy(out, &state(slot), sizeof(std::int32_t)); }
  void write_state(int slot, const std::byte* in) override {
    std::memcpy(&state(slot), in, sizeof(std::int32_t));
  }
  std::int32_t* page_at(int page) { return cache_.data() + page * cache.page_tokens(); }

  std::int32_t& state(int slot) { return states_[static_cast<std::size_t>(slot)]; }
  std::int32_t& at(const std::int32_t* pages, int position) {
    return page_at(pages[position / cache.page_tokens()])[position % cache.page_tokens()];
  }
  std::vector<std::int32_t> states_;
  std::vector<std::int32_t> cache_;
  const std::size_t page_bytes_;
  std::deque<Sequence> sequences_;

 public:
  PageStore store;
  PrefixCache cache;
  PagePool& pool;
  Scheduler scheduler;
  int last_rows = 0;
  int copies = 0;  // of states
  int pages_brought_back = 0;
};

inline std::vector<std::int32_t> prompt(int length, int seed) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(length));
  std::iota(tokens.begin(), tokens.end(), 1000 * seed);
  return tokens;
}

// What `tokens` continue as when nothing else runs.
inline std::vector<std::int32_t> alone(std::vector<std::int32_t> tokens, std::size_t length) {
  World world(100, 4, {.rows = 512, .wanted = 1, .sequences = 1, .pages = 100});
  const Sequence& s = world.add(std::move(tokens));
  while (s.tokens.size() < length) world.step();
  return s.tokens;
}

inline void finish(World& world, Sequence& s, std::size_t length) {
  while (s.tokens.size() < length) world.step();
  world.scheduler.remove(s);
}

}  // namespace rf::test
