#include "app/load.h"

#include <unistd.h>

#include <cstdio>

#include "app/argument.h"
#include "app/catalogue.h"
#include "app/progress.h"
#include "base/clock.h"
#include "base/error.h"
#include "cpu/cpu.h"

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

std::vector<std::unique_ptr<Backend>> make_backends(const LoadOptions& options) {
  if (!is_device_name(options.device))
    fail("--device: found '{}', expected auto, cpu, reference, gpu, gpu:N or sim", options.device);
  if (options.device.starts_with("gpu") || options.device == "sim")
    fail("--device {}: there is no GPU back end in this build yet; use --device cpu", options.device);
  if (options.gpu_layers != "auto" && options.gpu_layers != "0")
    fail("--gpu-layers {}: there is no GPU back end in this build yet; use 0 or auto", options.gpu_layers);
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(options.device == "reference" ? make_reference()
                                                   : make_cpu({.threads = options.threads, .isa = ""}));
  return backends;
}

std::unique_ptr<Engine> load_engine(const std::string& model, const LoadOptions& options, int parallel,
                                    int wanted_rows) {
  std::vector<std::unique_ptr<Backend>> backends = make_backends(options);
  const std::string path = find_model(model);
  LoadLine line;
  EngineOptions engine;
  engine.context = options.context;
  engine.parallel = parallel;
  engine.page_tokens = options.page;
  engine.batch_rows = options.batch_rows;
  engine.state_snapshots = options.state_snapshots;
  engine.wanted_rows = wanted_rows;
  engine.embed = options.embed;
  engine.kv = kv_by_name(options.kv);
  engine.progress = std::ref(line);
  return std::make_unique<Engine>(path, std::move(backends), engine);
}

}  // namespace rf
