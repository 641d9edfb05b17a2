// PageStore: what pages of the cache and recurrent states held, kept outside of the cache under the tokens
// that they stand for: in host memory up to a bound, and in a folder. What leaves the cache goes there, and
// is copied back instead of being computed again.
#pragma once
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/cache_memory.h"
#include "engine/page_folder.h"

namespace rf {

class PageStore {
 public:
  struct Options {
    std::size_t host_bytes = 0;      // 0: nothing is kept in memory
    std::string folder{};            // "": nothing is kept on disk
    std::uint64_t folder_bytes = 0;  // the bound of the whole folder
    std::uint64_t identity = 0;      // of the bytes that `memory` has: PageFile::identity
    int page_tokens = 0;             // of a full page
  };
  PageStore(CacheMemory& memory, const Options& options);

  CacheMemory& memory() const { return memory_; }
  bool keeps() const { return most_bytes_ > 0 || folder_ != nullptr; }  // anything at all
  bool has(Kept kind, const Prefix& prefix);                            // counts as a use
  // Keeps what lies at `place`, a page or a state's slot, which is about to be written over. Parts of a page
  // and their states only in memory.
  void keep(Kept kind, const Prefix& prefix, int place);
  // Where it lies if that is a file alone, which takes a while to read.
  std::optional<PageFolder::Fetch::File> file_of(Kept kind, const Prefix& prefix);
  // Copies to `place` what was kept; false: it is gone, and has() says so from then on. `fetched`: files that
  // have been read already, or null.
  bool load(Kept kind, const Prefix& prefix, int place, PageFolder::Fetch* fetched);
  // It is of no more use: the first one to go.
  void release(Kept kind, const Prefix& prefix);

  PageFolder* folder() { return folder_.get(); }  // null: there is none
  // What lies at `place` is in the folder from now on, or soon. False: it has been there already.
  bool save(Kept kind, const Prefix& prefix, int place);

  // What was kept in memory means nothing any more, and what is written from now on has this identity.
  void forget_all(std::uint64_t identity);
  std::size_t host_bytes() const { return used_bytes_; }
  std::size_t most_host_bytes() const { return most_bytes_; }

 private:
  using Bytes = PageFolder::Bytes;
  struct Entry {
    Kept kind;
    std::vector<std::int32_t> tokens;
    std::uint64_t hash;
    Bytes bytes;
    std::size_t size() const { return sizeof(Entry) + tokens.size() * sizeof(std::int32_t) + bytes->size(); }
  };
  using Entries = std::list<Entry>;

  std::size_t bytes_of(Kept kind) const;
  Bytes read(Kept kind, int place);
  Entries::iterator find(Kept kind, const Prefix& prefix);  // marked as used
  void insert(Kept kind, const Prefix& prefix, Bytes bytes);
  bool full_page(const Prefix& prefix) const {
    return prefix.tokens.size() % static_cast<std::size_t>(page_tokens_) == 0;
  }

  CacheMemory& memory_;
  const std::size_t most_bytes_;
  const int page_tokens_;
  Entries entries_;  // used longest ago first
  std::unordered_multimap<std::uint64_t, Entries::iterator> index_;
  std::size_t used_bytes_ = 0;
  std::unique_ptr<PageFolder> folder_;  // may be null
};

}  // namespace rf
