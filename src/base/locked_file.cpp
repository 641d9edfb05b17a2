#include "base/locked_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace rf {

LockedFile::LockedFile(std::string path, const Options& options) : path_(std::move(path)) {
  const bool waits = options.wait != nullptr;
  for (bool told = false;;) {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, options.mode);
    if (descriptor_ < 0) fail("{}: cannot create: {}", path_, std::strerror(errno));
    const bool held = ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (held && waits) {
      if (!std::exchange(told, true)) options.wait();
      while (::flock(descriptor_, LOCK_EX) != 0 && errno == EINTR) {
      }
    }
    if ((!held || waits) && is_named()) return;
    ::close(std::exchange(descriptor_, -1));
    if (held && !waits) fail("{}: another process is writing it", path_);
  }
}

LockedFile::~LockedFile() {
  ::close(descriptor_);
}

// Whoever had it before may have renamed or removed it.
bool LockedFile::is_named() const {
  struct stat mine{}, named{};
  return ::fstat(descriptor_, &mine) == 0 && ::stat(path_.c_str(), &named) == 0 &&
         mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
}

bool LockedFile::is_abandoned(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool free = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
  ::close(descriptor);
  return free;
}

void LockedFile::clear() const {
  if (::ftruncate(descriptor_, 0) != 0) fail("{}: cannot truncate: {}", path_, std::strerror(errno));
}

void LockedFile::sync() const {
  if (::fsync(descriptor_) != 0) fail("{}: cannot write: {}", path_, std::strerror(errno));
}

void LockedFile::rename_to(const std::string& name) const {
  if (std::rename(path_.c_str(), name.c_str()) != 0)
    fail("{}: cannot rename to it: {}", name, std::strerror(errno));
}

}  // namespace rf
