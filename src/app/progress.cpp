#include "app/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace rf {

std::string progress_line(std::string_view name, std::uint64_t done, std::uint64_t total, std::uint64_t fresh,
                          double seconds) {
  const auto mega = [](std::uint64_t bytes) { return static_cast<double>(bytes) * 1e-6; };
  std::string line(name);
  if (total > 0)
    line += fmt::format("  {}%  {:.1f} of {:.1f} MB", done * 100 / total, mega(done), mega(total));
  else
    line += fmt::format("  {:.1f} MB", mega(done));
  if (fresh == 0 || seconds <= 0) return line;
  const double rate = static_cast<double>(fresh) / seconds;
  line += fmt::format("  {:.1f} MB/s", rate * 1e-6);
  if (total > done) {
    const auto left = static_cast<std::uint64_t>(static_cast<double>(total - done) / rate) + 1;
    line += left < 120 ? fmt::format("  {} s left", left) : fmt::format("  {} min left", left / 60);
  }
  return line;
}

ProgressBar::ProgressBar() : terminal_(::isatty(STDERR_FILENO) == 1) {}
ProgressBar::~ProgressBar() {
  end_line();
}

void ProgressBar::end_line() {
  if (open_) std::fputc('\n', stderr);
  open_ = false;
}

void ProgressBar::operator()(std::string_view file, std::uint64_t done, std::uint64_t total) {
  const Clock::time_point now = Clock::now();
  if (file != file_) {
    end_line();
    file_ = file;
    first_ = done;
    tenths_ = 0;
    start_ = now;
    drawn_ = {};
  }
  const bool complete = total > 0 && done == total;
  const std::uint64_t tenths = total > 0 ? done * 10 / total : 0;
  if (terminal_ ? !complete && now - drawn_ < std::chrono::milliseconds(100) : tenths <= tenths_) return;
  drawn_ = now;
  tenths_ = tenths;
  const std::uint64_t fresh = done > first_ ? done - first_ : 0;
  const std::string line =
      progress_line(file, done, total, fresh, std::chrono::duration<double>(now - start_).count());
  std::fputs(terminal_ ? ("\r" + line + "\x1b[K").c_str() : (line + "\n").c_str(), stderr);
  std::fflush(stderr);
  open_ = terminal_;
  if (complete) end_line();
}

}  // namespace rf
