#include "engine/prefix_cache.h"

#include <algorithm>
#include <utility>

namespace rf {

PrefixCache::PrefixCache(const Size& size, PageStore& store)
    : pages_(size.pages, size.page_tokens, size.snapshots),
      store_(store),
      first_snapshot_(size.first_snapshot) {
  if (store_.keeps())
    pages_.watch({.page = [this](std::int32_t page) { keep(page, false); },
                  .snapshot = [this](std::int32_t page) { keep(page, true); }});
}

// A published page is about to be given to somebody else, or its snapshot.
void PrefixCache::keep(std::int32_t page, bool state_only) {
  const std::vector<std::int32_t> tokens = pages_.prefix(page);
  const Prefix prefix = Prefix::of(tokens, page_tokens());
  if (!state_only) store_.keep(Kept::page, prefix, page);
  if (const int snapshot = pages_.snapshot(page); snapshot != PagePool::no_snapshot)
    store_.keep(Kept::state, prefix, slot_of(snapshot));
}

bool PrefixCache::has_state(const Known& known, std::size_t pages) {
  if (pages <= known.held.size() && pages_.snapshot(known.held[pages - 1]) != PagePool::no_snapshot)
    return true;
  return store_.has(Kept::state, known.prefixes[pages - 1]);
}

PrefixCache::Known PrefixCache::known(const Sequence& s) {
  Known known;
  if (s.whole || s.all_wanted) return known;
  // The last token is read in any case, for its logits.
  const auto all = std::span<const std::int32_t>(s.tokens).first(s.tokens.size() - 1);
  known.held = pages_.match(all);
  const auto size = static_cast<std::size_t>(page_tokens());
  Prefix at;
  while (at.tokens.size() + size <= all.size()) {
    at = at.grown(all, at.tokens.size() + size);
    if (known.prefixes.size() >= known.held.size() && !store_.has(Kept::page, at)) break;
    known.prefixes.push_back(at);
  }
  known.all = static_cast<int>(known.prefixes.size());
  std::size_t usable = known.prefixes.size();
  while (has_states() && usable > 0 && !has_state(known, usable)) --usable;
  const auto left_off = static_cast<std::size_t>(s.left_off);
  if (left_off > usable * size && left_off / size <= known.prefixes.size()) {
    const Prefix there = Prefix::of(all.first(left_off), page_tokens());
    known.exact = (left_off % size == 0 || store_.has(Kept::page, there)) &&
                  (!has_states() || store_.has(Kept::state, there));
    if (known.exact) usable = left_off / size;
  }
  known.prefixes.resize(usable);
  pages_.cut(known.held, usable);
  return known;
}

int PrefixCache::known_pages(const Sequence& s) {
  Known found = known(s);
  pages_.release(found.held);
  return static_cast<int>(found.prefixes.size());
}

bool PrefixCache::fetched(Sequence& s, bool may_begin) {
  if (store_.folder() == nullptr || s.whole || s.all_wanted) return true;
  if (s.fetch != nullptr) return s.fetch->done;
  if (!may_begin) return false;
  std::vector<PageFolder::Fetch::File> files;
  const auto add = [&](Kept kind, const Prefix& prefix) {
    if (auto file = store_.file_of(kind, prefix)) files.push_back(std::move(*file));
  };
  Known found = known(s);
  for (std::size_t i = found.held.size(); i < found.prefixes.size(); ++i) add(Kept::page, found.prefixes[i]);
  const bool held = !found.held.empty() && found.held.size() == found.prefixes.size() &&
                    pages_.snapshot(found.held.back()) != PagePool::no_snapshot;
  if (has_states() && !found.prefixes.empty() && !held) add(Kept::state, found.prefixes.back());
  pages_.release(found.held);
  if (files.empty()) return true;
  s.fetch = store_.folder()->fetch(std::move(files));
  return false;
}

bool PrefixCache::wait_for_fetch() {
  if (store_.folder() == nullptr) return false;
  store_.folder()->wait_for_fetch();
  return true;
}

bool PrefixCache::take_up(Sequence& s, Known known, int missing) {
  s.pages = std::move(known.held);
  s.published = static_cast<int>(s.pages.size());
  bool stored = true;
  for (int i = 0; i < missing; ++i) {
    const std::size_t at = s.pages.size();
    s.pages.push_back(pages_.take());
    stored = stored && at < known.prefixes.size() &&
             store_.load(Kept::page, known.prefixes[at], s.pages[at], s.fetch.get());
    if (!stored) continue;
    s.read = static_cast<int>(at + 1) * page_tokens();
    publish(s);
  }
  s.read = s.published * page_tokens();
  if (!restore(s, known)) {
    release(s);
    return false;
  }
  if (s.served == 0) s.cached = s.read;
  s.parted = known.all * page_tokens();
  s.fetch = nullptr;
  read_again_ += static_cast<std::uint64_t>(std::max(0, s.left_off - s.read));
  return true;
}

// Brings what is read and the state to where the sequence goes on, its full pages being there.
bool PrefixCache::restore(Sequence& s, const Known& known) {
  const int part = s.left_off % page_tokens();
  if (known.exact && s.published == s.left_off / page_tokens()) {
    const auto tokens = std::span<const std::int32_t>(s.tokens).first(static_cast<std::size_t>(s.left_off));
    const Prefix there = Prefix::of(tokens, page_tokens());
    if ((part == 0 ||
         store_.load(Kept::page, there, s.pages[static_cast<std::size_t>(s.published)], s.fetch.get())) &&
        (!has_states() || store_.load(Kept::state, there, s.state, s.fetch.get()))) {
      s.read = s.left_off;
      if (part != 0)
        for (const Kept kind : {Kept::page, Kept::state}) store_.release(kind, there);
      return true;
    }
  }
  if (!has_states() || s.published == 0) return true;
  const std::int32_t page = s.pages[static_cast<std::size_t>(s.published) - 1];
  if (const int snapshot = pages_.snapshot(page); snapshot != PagePool::no_snapshot) {
    pages_.use_snapshot(page);
    store_.memory().copy_state(slot_of(snapshot), s.state);
    return true;
  }
  return store_.load(Kept::state, known.prefixes[static_cast<std::size_t>(s.published) - 1], s.state,
                     s.fetch.get());
}

void PrefixCache::take_from_twin(Sequence& s, const Sequence& twin) {
  const int known = static_cast<int>(s.tokens.size()) - 1;
  if (s.read >= known || s.read / page_tokens() != known / page_tokens()) return;
  const auto page = static_cast<std::size_t>(s.read / page_tokens());
  CacheMemory& memory = store_.memory();
  std::vector<std::byte> bytes(memory.page_bytes());
  memory.read_page(twin.pages[page], bytes.data());
  memory.write_page(s.pages[page], bytes.data());
  s.read = known;
  if (s.served == 0) s.cached = known;
}

void PrefixCache::publish(Sequence& s) {
  const auto size = static_cast<std::size_t>(page_tokens());
  for (; s.published < s.read / page_tokens(); ++s.published) {
    const auto i = static_cast<std::size_t>(s.published);
    const std::int32_t parent = i == 0 ? PagePool::no_page : s.pages[i - 1];
    s.pages[i] = pages_.publish(parent, s.pages[i], std::span(s.tokens).subspan(i * size, size));
  }
}

void PrefixCache::take_snapshot(Sequence& s, bool answers) {
  const std::int32_t page = s.pages[static_cast<std::size_t>(s.published) - 1];
  const int snapshot = pages_.add_snapshot(page, answers ? s.newest_snapshot : PagePool::no_page);
  if (answers) s.newest_snapshot = page;
  if (snapshot != PagePool::no_snapshot) store_.memory().copy_state(s.state, slot_of(snapshot));
}

// Full pages stay where they are until their room is needed.
void PrefixCache::put_aside(const Sequence& s) {
  if (!store_.keeps() || s.whole || s.all_wanted || s.read == 0) return;
  const auto tokens = std::span<const std::int32_t>(s.tokens).first(static_cast<std::size_t>(s.read));
  const Prefix there = Prefix::of(tokens, page_tokens());
  if (s.read % page_tokens() != 0)
    store_.keep(Kept::page, there, s.pages[static_cast<std::size_t>(s.published)]);
  if (has_states()) store_.keep(Kept::state, there, s.state);
}

void PrefixCache::note_finished(const Sequence& s) {
  if (store_.folder() != nullptr)
    unsaved_.insert(unsaved_.end(), s.pages.begin(), s.pages.begin() + s.published);
}

bool PrefixCache::save_one() {
  constexpr int most_looks = 16;  // at pages that are there already
  for (int looks = 0; looks < most_looks && !unsaved_.empty() && store_.folder()->has_room(); ++looks) {
    const std::int32_t page = unsaved_.front();
    unsaved_.pop_front();
    if (!pages_.published(page)) continue;  // it was kept when it left
    const std::vector<std::int32_t> tokens = pages_.prefix(page);
    const Prefix prefix = Prefix::of(tokens, page_tokens());
    const bool saved = store_.save(Kept::page, prefix, page);
    const int snapshot = pages_.snapshot(page);
    const bool state_saved =
        snapshot != PagePool::no_snapshot && store_.save(Kept::state, prefix, slot_of(snapshot));
    if (saved || state_saved) break;
  }
  return unsaved();
}

void PrefixCache::forget_all(std::uint64_t identity) {
  pages_.forget_all();
  store_.forget_all(identity);
  unsaved_.clear();
}

}  // namespace rf
