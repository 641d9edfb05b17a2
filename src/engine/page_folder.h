// PageFolder: pages of the cache in the files of a folder, for later runs and for whoever uses the same
// folder at the same time. Files are written in the background, and read there by those who can wait; they
// appear whole or not at all, and those used longest ago give way. Nothing that goes wrong with a file or
// with the disk is an error to the caller: what cannot be read is not there, what cannot be written is not
// kept, and the log says so.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engine/page_file.h"

namespace rf {

class PageFolder {
 public:
  using Bytes = std::shared_ptr<const std::vector<std::byte>>;
  struct Read {
    std::optional<std::vector<std::byte>> bytes{};
    std::string trouble{};  // what is wrong with the file, where it can be opened
  };
  // Files that are read in the background, unless nobody holds this any longer.
  struct Fetch {
    struct File {
      std::string path;
      std::size_t bytes;  // it is to have
    };
    std::vector<File> wanted;
    std::map<std::string, Read> read{};  // by path, once it is done
    std::atomic<bool> done{false};
  };

  // `most_bytes`: of all files in it, those of other models included.
  PageFolder(std::string path, std::uint64_t most_bytes, std::uint64_t identity);
  ~PageFolder();  // writes what is queued, for two seconds at most
  PageFolder(const PageFolder&) = delete;
  PageFolder& operator=(const PageFolder&) = delete;

  // Of the model as it runs from now on.
  void set_identity(std::uint64_t identity) { identity_ = identity; }

  bool has(Kept kind, const Prefix& prefix) const;
  // Marks it as used now; false: it is not there.
  bool renew(Kept kind, const Prefix& prefix);
  // The file's bytes, of which there must be `size`; null: it is not there. A file that is not what its name
  // says is removed. The prefix may not be found any more after a failure.
  Bytes load(Kept kind, const Prefix& prefix, std::size_t size, Fetch* fetched = nullptr);
  // Begins to read files in the background, for load().
  std::shared_ptr<Fetch> fetch(std::vector<Fetch::File> wanted);
  // Waits until one of them has been read, but not for long.
  void wait_for_fetch();
  // The file that has `size` bytes of it.
  Fetch::File file_of(Kept kind, const Prefix& prefix, std::size_t size) const;
  // Whether save() takes something now.
  bool has_room();
  // Waits for that, but not for long.
  void wait_for_room();
  // Queues it to be written.
  void save(Kept kind, const Prefix& prefix, Bytes bytes);

 private:
  struct Job {
    std::string path;
    PageFile file;
    Bytes bytes;
  };

  std::string path_of(Kept kind, const Prefix& prefix) const;
  Bytes refuse(const std::string& path, const std::string& why);
  void write_queued();
  void read_queued();
  void write(const Job& job);
  bool make_room(std::uint64_t bytes);  // on the disk
  void complain(const std::string& path, const char* what);

  const std::string path_;
  const std::uint64_t most_bytes_;
  std::uint64_t identity_;
  std::set<std::string> refused_;  // files that are there and cannot be used

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> queue_;  // the first one is being written
  std::size_t queued_bytes_ = 0;
  std::int64_t write_until_ns_ = 0;  // 0: it goes on for ever
  std::deque<std::weak_ptr<Fetch>> fetches_;

  // The writer's.
  std::uint64_t total_bytes_ = 0;  // of all files when last looked, and what was written since
  std::uint64_t unseen_bytes_ = 0;
  std::int64_t quiet_until_ns_ = 0;
  std::thread writer_, reader_;
};

}  // namespace rf
