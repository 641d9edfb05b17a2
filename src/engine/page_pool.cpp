#include "engine/page_pool.h"

#include <algorithm>
#include <iterator>

#include "base/hash.h"

namespace rf {

PagePool::PagePool(int count, int page_tokens, int snapshots)
    : page_tokens_(page_tokens), pages_(static_cast<std::size_t>(count)) {
  for (int snapshot = snapshots - 1; snapshot >= 0; --snapshot) free_snapshots_.push_back(snapshot);
  for (std::int32_t page = count - 1; page >= 0; --page) blank_.push_back(page);
}

std::uint64_t PagePool::hash_of(std::int32_t parent, std::span<const std::int32_t> tokens) const {
  return hash_tokens(parent == no_page ? 1 : at(parent).hash, tokens);
}

// The hash only finds candidates: the same parent and the same tokens make them the page that is asked for.
std::int32_t PagePool::find(std::int32_t parent, std::uint64_t hash,
                            std::span<const std::int32_t> tokens) const {
  const auto [first, last] = index_.equal_range(hash);
  const auto found = std::find_if(first, last, [&](const auto& entry) {
    const Page& page = at(entry.second);
    return page.parent == parent && std::ranges::equal(page.tokens, tokens);
  });
  return found == last ? no_page : found->second;
}

void PagePool::hold(std::int32_t page) {
  if (at(page).holders++ == 0 && at(page).published) idle_.erase(at(page).idle_at);
}

void PagePool::let_go(std::int32_t page) {
  Page& p = at(page);
  if (--p.holders > 0) return;
  if (p.published)
    p.idle_at = idle_.insert(idle_.end(), page);
  else
    blank_.push_back(page);
}

void PagePool::forget_all() {
  for (const std::int32_t page : idle_) {
    forget(page);
    blank_.push_back(page);
  }
  idle_.clear();
}

void PagePool::forget(std::int32_t page) {
  Page& p = at(page);
  const auto [first, last] = index_.equal_range(p.hash);
  index_.erase(std::find_if(first, last, [&](const auto& entry) { return entry.second == page; }));
  p.published = false;
  drop_snapshot(page);
}

void PagePool::drop_snapshot(std::int32_t page) {
  Page& p = at(page);
  if (p.snapshot == no_snapshot) return;
  free_snapshots_.push_back(p.snapshot);
  p.snapshot = no_snapshot;
  with_snapshot_.erase(p.snapshot_at);
}

std::vector<std::int32_t> PagePool::prefix(std::int32_t page) const {
  std::vector<std::int32_t> run;
  for (; page != no_page; page = at(page).parent) run.push_back(page);
  std::vector<std::int32_t> tokens;
  for (auto each = run.rbegin(); each != run.rend(); ++each)
    tokens.insert(tokens.end(), at(*each).tokens.begin(), at(*each).tokens.end());
  return tokens;
}

void PagePool::cut(std::vector<std::int32_t>& run, std::size_t count) {
  for (; run.size() > count; run.pop_back()) let_go(run.back());
}

void PagePool::use_snapshot(std::int32_t page) {
  with_snapshot_.splice(with_snapshot_.end(), with_snapshot_, at(page).snapshot_at);
}

int PagePool::add_snapshot(std::int32_t page, std::int32_t instead) {
  Page& p = at(page);
  if (instead != no_page && instead != page) drop_snapshot(instead);
  if (p.snapshot != no_snapshot) return no_snapshot;
  if (free_snapshots_.empty()) {
    if (with_snapshot_.empty()) return no_snapshot;
    const std::int32_t oldest = with_snapshot_.front();
    if (leaving_.snapshot) leaving_.snapshot(oldest);
    drop_snapshot(oldest);
  }
  p.snapshot = free_snapshots_.back();
  free_snapshots_.pop_back();
  p.snapshot_at = with_snapshot_.insert(with_snapshot_.end(), page);
  return p.snapshot;
}

std::int32_t PagePool::take() {
  std::int32_t page;
  if (!blank_.empty()) {
    page = blank_.back();
    blank_.pop_back();
  } else {
    page = idle_.front();
    if (leaving_.page) leaving_.page(page);
    idle_.pop_front();
    forget(page);
  }
  hold(page);
  return page;
}

std::vector<std::int32_t> PagePool::match(std::span<const std::int32_t> tokens) {
  std::vector<std::int32_t> run;
  const auto size = static_cast<std::size_t>(page_tokens_);
  for (std::int32_t parent = no_page; tokens.size() >= size; tokens = tokens.subspan(size)) {
    const auto own = tokens.first(size);
    parent = find(parent, hash_of(parent, own), own);
    if (parent == no_page) break;
    hold(parent);
    run.push_back(parent);
  }
  return run;
}

std::int32_t PagePool::publish(std::int32_t parent, std::int32_t page, std::span<const std::int32_t> tokens) {
  const std::uint64_t hash = hash_of(parent, tokens);
  if (const std::int32_t twin = find(parent, hash, tokens); twin != no_page) {
    hold(twin);
    let_go(page);
    return twin;
  }
  Page& p = at(page);
  p.published = true;
  p.parent = parent;
  p.hash = hash;
  p.tokens.assign(tokens.begin(), tokens.end());
  index_.emplace(hash, page);
  return page;
}

void PagePool::release(std::vector<std::int32_t>& held) {
  cut(held, 0);
}

}  // namespace rf
