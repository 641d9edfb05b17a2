// ProgressBar: one line on stderr that says how far a file has come.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace rf {

// "name  42%  41.3 of 98.4 MB  12.0 MB/s  5 s left", without what is not known. `seconds` passed for `fresh`
// bytes.
std::string progress_line(std::string_view name, std::uint64_t done, std::uint64_t total, std::uint64_t fresh,
                          double seconds);

// A Progress callback. On a terminal it redraws its line ten times a second; elsewhere it writes a line every
// tenth. The line ends when a file is complete, when another file begins, and on destruction.
class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void operator()(std::string_view file, std::uint64_t done, std::uint64_t total);

 private:
  using Clock = std::chrono::steady_clock;
  void end_line();

  const bool terminal_;
  std::string file_;
  std::uint64_t first_ = 0;  // bytes that were there already
  std::uint64_t tenths_ = 0;
  Clock::time_point start_, drawn_;
  bool open_ = false;  // the terminal's line has no newline yet
};

}  // namespace rf
