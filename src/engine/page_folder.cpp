#include "engine/page_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <unordered_map>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/locked_file.h"
#include "base/log.h"

namespace rf {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_queued = 64 << 20;  // bytes, or one page that is larger
constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t most_ending_ns = 20 * second_ns;  // for what is queued at the end, on a slow disk

class File {
 public:
  File(const std::string& path, int flags) : file_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (file_ >= 0) ::close(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  explicit operator bool() const { return file_ >= 0; }
  int get() const { return file_; }

 private:
  const int file_;
};

bool read_all(int file, std::span<std::byte> out) {
  for (std::size_t got = 0; got < out.size();) {
    const ssize_t n = ::read(file, out.data() + got, out.size() - got);
    if (n == 0 || (n < 0 && errno != EINTR)) return false;
    if (n > 0) got += static_cast<std::size_t>(n);
  }
  return true;
}

// There must be `expected` bytes.
PageFolder::Read read_file(const std::string& path, std::size_t expected) {
  const File file(path, O_RDONLY);
  if (!file) return {};
  struct stat facts{};
  if (::fstat(file.get(), &facts) != 0 || static_cast<std::size_t>(facts.st_size) != expected)
    return {.trouble = fmt::format("expected {} bytes, found {}", expected, facts.st_size)};
  std::vector<std::byte> bytes(expected);
  if (!read_all(file.get(), bytes)) return {.trouble = "it cannot be read"};
  return {.bytes = std::move(bytes)};
}

bool write_all(int file, std::span<const std::byte> bytes) {
  for (std::size_t put = 0; put < bytes.size();) {
    const ssize_t n = ::write(file, bytes.data() + put, bytes.size() - put);
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) put += static_cast<std::size_t>(n);
  }
  return true;
}

// Writes a file whole or not at all. Throws Error.
void put(const std::string& path, std::string_view head, std::span<const std::byte> rest) {
  const LockedFile file(fmt::format("{}.{}.new", path, ::getpid()), {.mode = 0600});
  try {
    file.clear();
    if (!write_all(file.descriptor(), std::as_bytes(std::span(head))) || !write_all(file.descriptor(), rest))
      fail("{}: cannot write: {}", file.path(), std::strerror(errno));
    file.rename_to(path);
  } catch (const Error&) {
    ::unlink(file.path().c_str());
    throw;
  }
}

// A file as its name and the folder tell.
struct Listed {
  fs::path path;
  std::uint64_t bytes = 0;
  fs::file_time_type used{};
  std::uint64_t hash = 0, parent = 0, tokens = 0;
  bool state = false;
};

bool is_hex(std::string_view text) {
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// HASH-PARENT-TOKENS.page or .state, as path_of() writes it.
bool read_name(const std::string& name, Listed& listed) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string::npos || dot < 35 || name[16] != '-' || name[33] != '-') return false;
  const std::string tokens = name.substr(34, dot - 34), kind = name.substr(dot);
  if (!is_hex(name.substr(0, 16)) || !is_hex(name.substr(17, 16)) || tokens.size() > 10 ||
      tokens.find_first_not_of("0123456789") != std::string::npos || (kind != ".page" && kind != ".state"))
    return false;
  listed.hash = std::stoull(name.substr(0, 16), nullptr, 16);
  listed.parent = std::stoull(name.substr(17, 16), nullptr, 16);
  listed.tokens = std::stoull(tokens);
  listed.state = kind == ".state";
  return true;
}

// The files of all models in `folder`. What a writer that died has left is removed; anything else is not
// ours.
std::vector<Listed> list(const std::string& folder) {
  std::vector<Listed> all;
  std::error_code error;
  for (fs::directory_iterator model(folder, error), end; !error && model != end; model.increment(error)) {
    if (!is_hex(model->path().filename().string())) continue;
    std::error_code inner;
    for (fs::directory_iterator at(model->path(), inner); !inner && at != end; at.increment(inner)) {
      Listed file{.path = at->path()};
      std::error_code gone;
      file.used = at->last_write_time(gone);
      if (!gone) file.bytes = at->file_size(gone);
      if (gone) continue;
      if (read_name(file.path.filename().string(), file))
        all.push_back(std::move(file));
      else if (file.path.extension() == ".new" && LockedFile::is_abandoned(file.path))
        fs::remove(file.path, gone);
    }
  }
  return all;
}

// The order in which they go: those used longest ago first; a page counts as used with every page that goes
// on from it, and goes after them, since they are of no use without it.
void sort_by_use(std::vector<Listed>& all) {
  std::ranges::sort(all, [](const Listed& a, const Listed& b) {
    return std::pair(a.tokens, a.state) > std::pair(b.tokens, b.state);
  });
  std::unordered_map<std::uint64_t, fs::file_time_type> needed;  // by hash of a page
  for (Listed& each : all) {
    if (!each.state)
      if (const auto at = needed.find(each.hash); at != needed.end())
        each.used = std::max(each.used, at->second);
    fs::file_time_type& before = needed[each.state ? each.hash : each.parent];
    before = std::max(before, each.used);
  }
  std::ranges::sort(all, [](const Listed& a, const Listed& b) {
    if (a.used != b.used) return a.used < b.used;
    return std::pair(a.tokens, a.state) > std::pair(b.tokens, b.state);
  });
}

}  // namespace

PageFolder::PageFolder(std::string path, std::uint64_t most_bytes, std::uint64_t identity)
    : path_(std::move(path)), most_bytes_(most_bytes), identity_(identity) {
  writer_ = std::thread([this] { write_queued(); });
  reader_ = std::thread([this] { read_queued(); });
}

PageFolder::~PageFolder() {
  {
    const std::lock_guard lock(mutex_);
    write_until_ns_ = now_ns() + most_ending_ns;
    changed_.notify_all();
  }
  reader_.join();
  writer_.join();
}

std::string PageFolder::path_of(Kept kind, const Prefix& prefix) const {
  return fmt::format("{}/{:016x}/{:016x}-{:016x}-{}.{}", path_, identity_, prefix.hash, prefix.parent,
                     prefix.tokens.size(), kind == Kept::page ? "page" : "state");
}

PageFolder::Fetch::File PageFolder::file_of(Kept kind, const Prefix& prefix, std::size_t size) const {
  return {path_of(kind, prefix), page_file_header_bytes + prefix.tokens.size_bytes() + size};
}

bool PageFolder::has(Kept kind, const Prefix& prefix) const {
  const std::string path = path_of(kind, prefix);
  return ::access(path.c_str(), R_OK) == 0 && !refused_.contains(path);
}

bool PageFolder::renew(Kept kind, const Prefix& prefix) {
  return ::utimensat(AT_FDCWD, path_of(kind, prefix).c_str(), nullptr, 0) == 0;
}

PageFolder::Bytes PageFolder::refuse(const std::string& path, const std::string& why) {
  const bool removed = ::unlink(path.c_str()) == 0;
  spdlog::warn("{}: {}; it is {}", path, why, removed ? "removed" : "ignored");
  if (!removed) refused_.insert(path);
  return nullptr;
}

PageFolder::Bytes PageFolder::load(Kept kind, const Prefix& prefix, std::size_t size, Fetch* fetched) {
  const auto [path, expected] = file_of(kind, prefix, size);
  const bool known = fetched != nullptr && fetched->done && fetched->read.contains(path);
  Read file = known ? std::move(fetched->read.extract(path).mapped()) : read_file(path, expected);
  if (!file.trouble.empty()) return refuse(path, file.trouble);
  if (!file.bytes) {
    if (::access(path.c_str(), F_OK) == 0) refused_.insert(path);
    return nullptr;
  }
  std::vector<std::byte>& whole = *file.bytes;
  try {
    const PageFile found = parse_page_file(whole);
    if (found.identity != identity_ || found.kind != kind || found.bytes.size() != size)
      return refuse(path, "it belongs to another model");
    if (!std::ranges::equal(found.tokens, prefix.tokens)) {  // of the same hash by chance
      refused_.insert(path);
      return nullptr;
    }
  } catch (const Error& error) {
    return refuse(path, error.what());
  }
  ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
  whole.erase(whole.begin(), whole.end() - static_cast<std::ptrdiff_t>(size));
  return std::make_shared<const std::vector<std::byte>>(std::move(whole));
}

std::shared_ptr<PageFolder::Fetch> PageFolder::fetch(std::vector<Fetch::File> wanted) {
  auto fetch = std::make_shared<Fetch>();
  fetch->wanted = std::move(wanted);
  const std::lock_guard lock(mutex_);
  fetches_.push_back(fetch);
  changed_.notify_all();
  return fetch;
}

void PageFolder::wait_for_fetch() {
  std::unique_lock lock(mutex_);
  const std::size_t before = fetches_.size();
  changed_.wait_for(lock, std::chrono::milliseconds(10),
                    [&] { return fetches_.empty() || fetches_.size() < before; });
}

void PageFolder::read_queued() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return write_until_ns_ != 0 || !fetches_.empty(); });
    if (write_until_ns_ != 0) return;
    const std::weak_ptr<Fetch> next = fetches_.front();
    lock.unlock();
    for (std::size_t i = 0;; ++i) {
      const std::shared_ptr<Fetch> fetch = next.lock();
      if (fetch == nullptr) break;
      fetch->done = i == fetch->wanted.size();
      if (fetch->done) break;
      const auto& [path, size] = fetch->wanted[i];
      fetch->read.emplace(path, read_file(path, size));
    }
    lock.lock();
    fetches_.pop_front();
    changed_.notify_all();
  }
}

bool PageFolder::has_room() {
  const std::lock_guard lock(mutex_);
  return queued_bytes_ < most_queued;
}

void PageFolder::wait_for_room() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(10), [this] { return queued_bytes_ < most_queued; });
}

void PageFolder::save(Kept kind, const Prefix& prefix, Bytes bytes) {
  Job job{.path = path_of(kind, prefix),
          .file = {.kind = kind,
                   .identity = identity_,
                   .tokens = {prefix.tokens.begin(), prefix.tokens.end()},
                   .bytes = *bytes},
          .bytes = std::move(bytes)};
  refused_.erase(job.path);
  const std::lock_guard lock(mutex_);
  queued_bytes_ += job.bytes->size();
  queue_.push_back(std::move(job));
  changed_.notify_all();
}

void PageFolder::write_queued() {
  make_room(0);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return write_until_ns_ != 0 || !queue_.empty(); });
    if (queue_.empty() || (write_until_ns_ != 0 && now_ns() > write_until_ns_)) return;
    const Job& job = queue_.front();
    lock.unlock();
    write(job);
    lock.lock();
    queued_bytes_ -= job.bytes->size();
    queue_.pop_front();
    changed_.notify_all();
  }
}

void PageFolder::write(const Job& job) {
  const std::string head = page_file_head(job.file);
  const std::uint64_t size = head.size() + job.bytes->size();
  if (!make_room(size)) return;
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) return complain(path_, error.message().c_str());
  const std::string folder = fs::path(job.path).parent_path();
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return complain(folder, std::strerror(errno));
  try {
    put(job.path, head, *job.bytes);
  } catch (const Error& wrong) {
    return complain(folder, wrong.what());
  }
  total_bytes_ += size;
  unseen_bytes_ += size;
}

// One process at a time removes files; the others go by what they see meanwhile.
bool PageFolder::make_room(std::uint64_t bytes) {
  if (bytes > most_bytes_) return false;
  // Others write too, hence a look now and then.
  if (bytes > 0 && total_bytes_ + bytes <= most_bytes_ && unseen_bytes_ < most_bytes_ / 16) return true;
  std::vector<Listed> all;
  const auto fits = [&] {
    all = list(path_);
    total_bytes_ = unseen_bytes_ = 0;
    for (const Listed& each : all) total_bytes_ += each.bytes;
    return total_bytes_ + bytes <= most_bytes_;
  };
  if (fits()) return true;
  const File lock(path_ + "/lock", O_RDWR | O_CREAT);
  if (!lock || ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) return false;
  if (fits()) return true;
  sort_by_use(all);
  const std::uint64_t wanted = (most_bytes_ - bytes) / 10 * 9;
  for (const Listed& each : all) {
    if (total_bytes_ <= wanted) break;
    std::error_code error;
    if (fs::remove(each.path, error) || !error) total_bytes_ -= each.bytes;
  }
  return total_bytes_ + bytes <= most_bytes_;
}

void PageFolder::complain(const std::string& path, const char* what) {
  if (now_ns() < quiet_until_ns_) return;
  quiet_until_ns_ = now_ns() + 60 * second_ns;
  spdlog::warn("{}: pages of the cache cannot be written: {}", path, what);
}

}  // namespace rf
