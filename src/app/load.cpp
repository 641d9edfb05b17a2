#include "app/load.h"

#include <unistd.h>

#include <cstdio>

#include "app/catalogue.h"
#include "app/place.h"
#include "app/progress.h"
#include "base/clock.h"
#include "base/error.h"

namespace rf {
namespace {

// A line on the terminal that appears once loading has taken half a second and disappears at its end.
class LoadLine {
 public:
  ~LoadLine() {
    if (shown_) std::fputs("\r\x1b[K", stderr);
  }
  void operator()(std::size_t done, std::size_t total) {
    if (!terminal_ || total == 0 || now_ns() < next_) return;
    shown_ = true;
    next_ = now_ns() + 100'000'000;
    std::fputs(fmt::format("\rloading  {}%\x1b[K", done * 100 / total).c_str(), stderr);
    std::fflush(stderr);
  }

 private:
  const bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  std::int64_t next_ = now_ns() + 500'000'000;
  bool shown_ = false;
};

}  // namespace

std::string find_model(const std::string& name) {
  ProgressBar bar;
  return resolve_model(name, true, std::ref(bar));
}

std::unique_ptr<Engine> load_engine(const std::string& model, const LoadOptions& options,
                                    const LoadUse& use) {
  std::vector<std::unique_ptr<Backend>> backends = make_backends(options);
  const std::string path = find_model(model);
  LoadLine line;
  EngineOptions engine;
  engine.context = options.context;
  engine.parallel = use.parallel;
  engine.page_tokens = options.page;
  engine.batch_rows = options.batch_rows;
  engine.state_snapshots = options.state_snapshots;
  engine.wanted_rows = use.wanted_rows;
  engine.cache_tokens = use.cache_tokens;
  engine.host_cache_bytes = use.host_cache_bytes;
  engine.cache_folder = use.cache_folder;
  engine.cache_folder_bytes = use.cache_folder_bytes;
  engine.gap = use.gap;
  engine.embed = options.embed;
  engine.kv = kv_by_name(options.kv);
  // Without a GPU there is nothing to choose.
  if (backends.size() > 1) engine.prefer = preference(options);
  engine.progress = std::ref(line);
  if (use.progress) engine.progress = use.progress;
  return std::make_unique<Engine>(path, std::move(backends), engine);
}

}  // namespace rf
