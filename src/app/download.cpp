#include "app/download.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>

#include "app/digest.h"
#include "app/http.h"
#include "base/error.h"
#include "base/locked_file.h"
#include "base/log.h"

namespace rf {
namespace {

// The number that begins at `text`, or 0.
std::uint64_t number_at(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string header(const Http::Response& response, const std::string& name) {
  const auto found = response.headers.find(name);
  return found == response.headers.end() ? "" : found->second;
}

// destination.part, held by this process alone, and beside it the validator (a strong ETag or a modification
// date) of the content that it is a part of.
class PartFile {
 public:
  explicit PartFile(const std::string& destination)
      : destination_(destination),
        file_(destination + ".part",
              {.wait =
                   [&] {
                     spdlog::info("{}: another process is fetching this file; waiting for it", destination);
                   }}),
        validator_path_(path() + ".etag") {
    struct stat info{};
    ::fstat(file_.descriptor(), &info);
    size_ = static_cast<std::uint64_t>(info.st_size);
    std::getline(std::ifstream(validator_path_), validator_);
    if (validator_.empty()) clear();
  }
  ~PartFile() {
    if (size_ == 0 && !over_) discard();
  }
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  const std::string& path() const { return file_.path(); }
  std::uint64_t size() const { return size_; }
  const std::string& validator() const { return validator_; }

  void clear() {
    file_.clear();
    size_ = 0;
    set_validator("");
  }

  void set_validator(const std::string& validator) {
    validator_ = validator;
    if (validator.empty())
      std::filesystem::remove(validator_path_);
    else
      std::ofstream(validator_path_) << validator << '\n';
  }

  // Fails early where the disk cannot hold `more` bytes.
  void expect(std::uint64_t more) const {
    struct statvfs disk{};
    if (::fstatvfs(file_.descriptor(), &disk) != 0) return;
    const std::uint64_t free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
    if (more > free)
      fail("{}: needs {} MB more, but only {} MB are free on this disk", path(), more / 1000000 + 1,
           free / 1000000);
  }

  void append(std::string_view piece) {
    while (!piece.empty()) {
      const ssize_t n = ::pwrite(file_.descriptor(), piece.data(), piece.size(), static_cast<off_t>(size_));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) fail("{}: cannot write: {}", path(), std::strerror(errno));
      size_ += static_cast<std::uint64_t>(n);
      piece.remove_prefix(static_cast<std::size_t>(n));
    }
  }

  void keep() {
    file_.sync();
    file_.rename_to(destination_);
    over_ = true;
    std::filesystem::remove(validator_path_);
  }

  void discard() {
    std::error_code absent;
    std::filesystem::remove(path(), absent);
    std::filesystem::remove(validator_path_, absent);
    over_ = true;
  }

 private:
  std::string destination_;
  const LockedFile file_;
  std::string validator_path_, validator_;
  std::uint64_t size_ = 0;
  bool over_ = false;  // it has its name, or is gone
};

class Download {
 public:
  Download(const std::string& url, PartFile& part, const DownloadOptions& options, std::string name)
      : url_(url), part_(part), options_(options), name_(std::move(name)), http_(url, options) {}

  void run() {
    int failures = 0;
    for (;;) {
      const std::uint64_t before = part_.size();
      const Http::Response response = attempt();
      if (response.error.empty()) return;
      const bool unusable_range = response.status == 416 && before > 0;
      if (unusable_range) {
        if (number_at(after(header(response, "content-range"), '/')) == before)
          return;  // nothing was missing
        part_.clear();
      } else if (!response.may_retry) {
        throw Error(response.error);
      }
      failures = part_.size() > before ? 0 : failures + 1;
      if (failures > options_.retries) throw Error(response.error);
      spdlog::debug("{}; trying again", response.error);
      std::this_thread::sleep_for(options_.backoff * (1 << std::min(failures, 5)) / 2);
    }
  }

 private:
  static std::string_view after(std::string_view text, char mark) {
    const auto at = text.find(mark);
    return at == std::string_view::npos ? "" : text.substr(at + 1);
  }

  // An exception may not pass through libcurl: it is kept and thrown again here.
  Http::Response attempt() {
    begun_ = false;
    if (part_.validator().empty()) part_.clear();
    std::exception_ptr fault;
    Http::Response response =
        http_.get(part_.size(), part_.validator(), [&](const Http::Response& head, std::string_view piece) {
          try {
            if (!std::exchange(begun_, true)) begin(head);
            part_.append(piece);
            if (options_.progress) options_.progress(name_, part_.size(), total_);
            return true;
          } catch (...) {
            fault = std::current_exception();
            return false;
          }
        });
    if (fault) std::rethrow_exception(fault);
    if (response.error.empty() && !begun_) begin(response);  // an empty body
    return response;
  }

  // At the first byte of a body: does it continue the part, or begin anew?
  void begin(const Http::Response& head) {
    if (head.status == 206) {
      const std::string range = header(head, "content-range");  // bytes FIRST-LAST/TOTAL
      if (!range.starts_with("bytes ") || number_at(after(range, ' ')) != part_.size()) {
        const std::uint64_t wanted = part_.size();
        part_.clear();
        fail("{}: asked for the bytes from {} on, the server sent '{}'", url_, wanted, range);
      }
    } else {
      part_.clear();
      const std::string etag = header(head, "etag");  // W/"..." would not promise the same bytes
      part_.set_validator(etag.starts_with('"') ? etag : header(head, "last-modified"));
    }
    const std::uint64_t coming = number_at(header(head, "content-length"));
    total_ = coming > 0 ? part_.size() + coming : 0;
    if (options_.size > 0 && total_ > 0 && total_ != options_.size) {
      part_.discard();
      fail("{}: the server offers {} bytes, expected {}", url_, total_, options_.size);
    }
    part_.expect(coming);
  }

  const std::string& url_;
  PartFile& part_;
  const DownloadOptions& options_;
  const std::string name_;
  Http http_;
  std::uint64_t total_ = 0;
  bool begun_ = false;
};

}  // namespace

void download(const std::string& url, const std::string& destination, const DownloadOptions& options) {
  const std::filesystem::path target(destination);
  std::error_code failed;
  std::filesystem::create_directories(target.parent_path(), failed);
  if (failed) fail("{}: cannot create this folder: {}", target.parent_path().string(), failed.message());

  const bool present = std::filesystem::exists(target);
  if (present && !std::filesystem::is_regular_file(target))
    fail("{}: cannot write it: it is not a regular file", destination);
  PartFile part(destination);
  if (!present && std::filesystem::exists(target)) {  // another process finished it while this one waited
    part.discard();
    return;
  }
  Download(url, part, options, target.filename()).run();
  if (options.size > 0 && part.size() != options.size) {
    part.discard();
    fail("{}: got {} bytes, expected {}", url, part.size(), options.size);
  }
  if (!options.sha256.empty()) {
    const std::string found = sha256_of_file(part.path());
    if (found != options.sha256) {
      part.discard();
      fail("{}: the SHA-256 of what came is {}, expected {}; try again", url, found, options.sha256);
    }
  }
  part.keep();
}

std::string download_text(const std::string& url, const DownloadOptions& options) {
  constexpr std::size_t most = 16 << 20;
  std::string text;
  const auto response = Http(url, options).get(0, "", [&](const Http::Response&, std::string_view piece) {
    text += piece;
    return text.size() <= most;
  });
  if (text.size() > most) fail("{}: the answer is longer than {} bytes", url, most);
  if (!response.error.empty()) throw Error(response.error);
  return text;
}

}  // namespace rf
