// LockedFile: a file that one process at a time holds, by a lock that ends with it even where it is killed.
#pragma once
#include <functional>
#include <string>
#include <utility>

namespace rf {

class LockedFile {
 public:
  struct Options {
    unsigned mode = 0644;             // of a new file
    std::function<void()> wait = {};  // called before it waits for another process; none: that is an Error
  };
  // Opens or creates it. Where the file system has no locks, it is had without. Throws Error naming the path.
  explicit LockedFile(std::string path) : LockedFile(std::move(path), Options{}) {}
  LockedFile(std::string path, const Options& options);
  ~LockedFile();
  LockedFile(const LockedFile&) = delete;
  LockedFile& operator=(const LockedFile&) = delete;

  // Whether the process that made it is gone.
  static bool is_abandoned(const std::string& path);

  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  // These throw Error too.
  void clear() const;                             // no byte is left
  void sync() const;                              // to the disk
  void rename_to(const std::string& name) const;  // replaces what is there

 private:
  bool is_named() const;

  std::string path_;
  int descriptor_ = -1;
};

}  // namespace rf
