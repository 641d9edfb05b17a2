// Fetching files over HTTP(S): resumed, checked, and put in place whole or not at all.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace rf {

// Called while a file comes in: its name, bytes there, bytes in all (0: not known).
using Progress = std::function<void(std::string_view file, std::uint64_t done, std::uint64_t total)>;

struct DownloadOptions {
  std::string sha256;        // expected, 64 hexadecimal digits; empty: any
  std::uint64_t size = 0;    // expected bytes; 0: any
  std::string bearer_token;  // sent to the URL's own host only
  Progress progress;
  int retries = 5;  // in a row without a new byte; waits double from `backoff`
  std::chrono::milliseconds backoff{1000};
  std::chrono::seconds connect_timeout{20};
  std::chrono::seconds stall_timeout{30};  // less than 1 kB/s for so long is a broken connection
};

// Fetches `url` to `destination`. Bytes collect in `destination`.part, which a later call resumes (Range and
// If-Range with the validator in `destination`.part.etag); a complete file that has the expected size and
// checksum is renamed to `destination`, replacing what was there. While another process fetches the same file
// this waits, and then takes its result. https may not be redirected to http. Throws Error: one line with the
// URL or the path and the reason.
void download(const std::string& url, const std::string& destination, const DownloadOptions& options);

// The body of `url`, at most 16 MiB. Throws Error.
std::string download_text(const std::string& url, const DownloadOptions& options);

}  // namespace rf
