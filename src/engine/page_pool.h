// PagePool: who holds which page of the key/value cache, and which tokens the full ones stand for, so that
// prompts with a common beginning share pages and are read once; and which of them have a snapshot of the
// recurrent states at their end.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace rf {

// A page is blank, held by one or more sequences, or idle: published, held by nobody, kept for a later prompt
// until its room is needed. Published pages form a forest: a page stands for its own tokens after those of
// its parent. Whoever holds a page holds its parent too and lets go of it later, hence an idle page turns
// blank before its parent does and a parent's number always means the same tokens.
class PagePool {
 public:
  static constexpr std::int32_t no_page = -1;
  static constexpr int no_snapshot = -1;

  PagePool(int count, int page_tokens, int snapshots = 0);
  // To be told of what gives way to something else, while it is still there: a published page, with its
  // snapshot, and a snapshot whose page stays.
  struct Leaving {
    std::function<void(std::int32_t page)> page, snapshot;
  };
  void watch(Leaving leaving) { leaving_ = std::move(leaving); }

  int page_tokens() const { return page_tokens_; }
  int count() const { return static_cast<int>(pages_.size()); }
  int available() const { return static_cast<int>(blank_.size() + idle_.size()); }  // to take()

  // A page for the caller alone: a blank one, else the idle one that was used longest ago. There must be one.
  std::int32_t take();

  // The longest run of published pages that stand for the beginning of `tokens`, all held by the caller now.
  std::vector<std::int32_t> match(std::span<const std::int32_t> tokens);

  // Makes known that `page`, held by the caller and filled, stands for `tokens` (as many as a page holds)
  // after those of `parent` (published, held by the caller too; no_page: at the start). Returns the page to
  // use from now on: where another one stands for the same, the caller holds that one and `page` is let go.
  std::int32_t publish(std::int32_t parent, std::int32_t page, std::span<const std::int32_t> tokens);

  bool published(std::int32_t page) const { return at(page).published; }
  std::vector<std::int32_t> prefix(std::int32_t page) const;  // all tokens up to a published page's end

  // Lets go of the pages of a run after the first `count`.
  void cut(std::vector<std::int32_t>& run, std::size_t count);
  // The number of the snapshot that a page has, no_snapshot: none.
  int snapshot(std::int32_t page) const { return at(page).snapshot; }
  void use_snapshot(std::int32_t page);  // which it has: the last one to go
  // The number of a snapshot to be filled for `page`, published and held: that of the page `instead`, which
  // gives it up, or a free one, or the one used longest ago. no_snapshot when the page has one, or there are
  // none.
  int add_snapshot(std::int32_t page, std::int32_t instead = no_page);

  // Lets go of all `held`, a sequence's pages in position order, and empties it.
  void release(std::vector<std::int32_t>& held);

  // Nothing stands for any tokens any more: what pages held is gone. Nobody may hold one.
  void forget_all();

 private:
  struct Page {
    int holders = 0;
    bool published = false;
    std::int32_t parent = no_page;
    std::uint64_t hash = 0;  // of all tokens up to this page's end
    std::vector<std::int32_t> tokens;
    std::list<std::int32_t>::iterator idle_at;  // while idle
    int snapshot = no_snapshot;
    std::list<std::int32_t>::iterator snapshot_at;  // while it has one
  };

  Page& at(std::int32_t page) { return pages_[static_cast<std::size_t>(page)]; }
  const Page& at(std::int32_t page) const { return pages_[static_cast<std::size_t>(page)]; }
  std::uint64_t hash_of(std::int32_t parent, std::span<const std::int32_t> tokens) const;
  std::int32_t find(std::int32_t parent, std::uint64_t hash, std::span<const std::int32_t> tokens) const;
  void hold(std::int32_t page);
  void let_go(std::int32_t page);
  void forget(std::int32_t page);  // takes it out of the index
  void drop_snapshot(std::int32_t page);

  int page_tokens_;
  Leaving leaving_;
  std::vector<Page> pages_;
  std::vector<std::int32_t> blank_;
  std::list<std::int32_t> idle_;                                // used longest ago first
  std::unordered_multimap<std::uint64_t, std::int32_t> index_;  // published pages by hash
  std::vector<int> free_snapshots_;
  std::list<std::int32_t> with_snapshot_;  // used longest ago first
};

}  // namespace rf
