#include "engine/page_store.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace rf {

PageStore::PageStore(CacheMemory& memory, const Options& options)
    : memory_(memory), most_bytes_(options.host_bytes), page_tokens_(options.page_tokens) {
  if (!options.folder.empty())
    folder_ = std::make_unique<PageFolder>(options.folder, options.folder_bytes, options.identity);
}

std::size_t PageStore::bytes_of(Kept kind) const {
  return kind == Kept::page ? memory_.page_bytes() : memory_.state_bytes();
}

PageStore::Bytes PageStore::read(Kept kind, int place) {
  auto bytes = std::make_shared<std::vector<std::byte>>(bytes_of(kind));
  if (kind == Kept::page)
    memory_.read_page(place, bytes->data());
  else
    memory_.read_state(place, bytes->data());
  return bytes;
}

PageStore::Entries::iterator PageStore::find(Kept kind, const Prefix& prefix) {
  const auto [first, last] = index_.equal_range(prefix.hash);
  const auto found = std::find_if(first, last, [&](const auto& each) {
    return each.second->kind == kind && std::ranges::equal(each.second->tokens, prefix.tokens);
  });
  if (found == last) return entries_.end();
  entries_.splice(entries_.end(), entries_, found->second);
  return found->second;
}

void PageStore::insert(Kept kind, const Prefix& prefix, Bytes bytes) {
  Entry entry{.kind = kind,
              .tokens = {prefix.tokens.begin(), prefix.tokens.end()},
              .hash = prefix.hash,
              .bytes = std::move(bytes)};
  const std::size_t size = entry.size();
  if (size > most_bytes_) return;
  while (used_bytes_ + size > most_bytes_) {
    const auto oldest = entries_.begin();
    const auto [first, last] = index_.equal_range(oldest->hash);
    index_.erase(std::find_if(first, last, [&](const auto& each) { return each.second == oldest; }));
    used_bytes_ -= oldest->size();
    entries_.erase(oldest);
  }
  used_bytes_ += size;
  index_.emplace(entry.hash, entries_.insert(entries_.end(), std::move(entry)));
}

bool PageStore::has(Kept kind, const Prefix& prefix) {
  return find(kind, prefix) != entries_.end() ||
         (folder_ != nullptr && full_page(prefix) && folder_->has(kind, prefix));
}

void PageStore::keep(Kept kind, const Prefix& prefix, int place) {
  if (find(kind, prefix) != entries_.end()) return;
  const bool to_folder =
      folder_ != nullptr && full_page(prefix) && folder_->has_room() && !folder_->has(kind, prefix);
  if (most_bytes_ == 0 && !to_folder) return;
  const Bytes bytes = read(kind, place);
  if (to_folder) folder_->save(kind, prefix, bytes);
  insert(kind, prefix, bytes);
}

bool PageStore::save(Kept kind, const Prefix& prefix, int place) {
  if (folder_->renew(kind, prefix)) return false;
  folder_->save(kind, prefix, read(kind, place));
  return true;
}

std::optional<PageFolder::Fetch::File> PageStore::file_of(Kept kind, const Prefix& prefix) {
  const bool in_file = folder_ != nullptr && find(kind, prefix) == entries_.end() && full_page(prefix) &&
                       folder_->has(kind, prefix);
  return in_file ? std::optional(folder_->file_of(kind, prefix, bytes_of(kind))) : std::nullopt;
}

bool PageStore::load(Kept kind, const Prefix& prefix, int place, PageFolder::Fetch* fetched) {
  Bytes bytes;
  if (const auto known = find(kind, prefix); known != entries_.end()) {
    bytes = known->bytes;
  } else if (folder_ != nullptr && full_page(prefix)) {
    bytes = folder_->load(kind, prefix, bytes_of(kind), fetched);
    if (bytes != nullptr) insert(kind, prefix, bytes);
  }
  if (bytes == nullptr) return false;
  if (kind == Kept::page)
    memory_.write_page(place, bytes->data());
  else
    memory_.write_state(place, bytes->data());
  return true;
}

void PageStore::release(Kept kind, const Prefix& prefix) {
  const auto known = find(kind, prefix);
  if (known != entries_.end()) entries_.splice(entries_.begin(), entries_, known);
}

void PageStore::forget_all(std::uint64_t identity) {
  entries_.clear();
  index_.clear();
  used_bytes_ = 0;
  if (folder_ != nullptr) folder_->set_identity(identity);
}

}  // namespace rf
