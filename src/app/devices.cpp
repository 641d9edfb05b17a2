#include <fmt/ranges.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/file.h"
#include "app/model_summary.h"
#include "app/self_test.h"
#include "app/table.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/team.h"
#include "cpu/cpu.h"
#include "gpu/gpu.h"

namespace rf {
namespace {

std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name") && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return "unknown";
}

struct GpuReport {
  GpuDescription gpu;
  std::string verdict;    // of the self-test, or why there was none
  double difference = 0;  // from the reference, of the range
};

std::vector<GpuReport> test_gpus(std::string* why) {
  std::vector<GpuReport> reports;
  for (const GpuDescription& gpu : find_gpus("", why)) {
    GpuReport& report = reports.emplace_back(GpuReport{gpu, "", 0});
    if (gpu.target.empty()) {
      report.verdict = "no code object for it in this build";
      continue;
    }
    try {
      report.difference = self_test(make_gpu({.library = "", .index = gpu.index}));
      report.verdict = report.difference <= self_test_tolerance ? "passed" : "FAILED";
    } catch (const Error& error) {
      report.verdict = fmt::format("FAILED: {}", error.what());
    }
  }
  return reports;
}

nlohmann::ordered_json gpus_json(const std::vector<GpuReport>& reports) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const GpuReport& r : reports)
    all.push_back({{"index", r.gpu.index},
                   {"name", r.gpu.name},
                   {"arch", r.gpu.arch},
                   {"code_object", r.gpu.target},
                   {"driver", r.gpu.library},
                   {"driver_version", r.gpu.driver_version},
                   {"processors", r.gpu.processors},
                   {"wave", r.gpu.wave},
                   {"integrated", r.gpu.integrated},
                   {"bounce_copies", r.gpu.bounces},
                   {"memory_bytes", r.gpu.memory},
                   {"memory_free_bytes", r.gpu.free},
                   {"carve_out_bytes", r.gpu.carve_out},
                   {"gtt_bytes", r.gpu.gtt},
                   {"peers", r.gpu.peers},
                   {"self_test", r.verdict},
                   {"self_test_difference", r.difference}});
  return all;
}

std::string gpus_text(const std::vector<GpuReport>& reports, const std::string& why) {
  if (reports.empty()) return "GPU: none: no GPU driver found" + (why.empty() ? "" : " (" + why + ")");
  const auto size = [](std::size_t bytes) { return size_text(static_cast<double>(bytes)); };
  std::string text;
  for (std::size_t i = 0; i < reports.size(); ++i) {
    const GpuDescription& g = reports[i].gpu;
    text += fmt::format(
        "{}GPU {}: {} ({}{})\n"
        "  kernels    {}\n"
        "  processors {}, waves of {}\n"
        "  memory     {}, {} free\n",
        i > 0 ? "\n" : "", g.index, g.name, g.arch, g.integrated ? ", integrated" : "",
        g.target.empty() ? "none" : g.target, g.processors, g.wave, size(g.memory), size(g.free));
    if (g.gtt > 0)
      text += fmt::format("  kernel     carve-out {}, GTT {}, {} free\n", size(g.carve_out), size(g.gtt),
                          size(g.gtt_free));
    if (!g.peers.empty()) text += fmt::format("  peers      GPU {}\n", fmt::join(g.peers, ", "));
    text += fmt::format("  driver     {} ({}){}\n  self-test  {}", g.library, g.driver_version,
                        g.bounces ? ", reads back in whole pages" : "", reports[i].verdict);
    if (reports[i].difference > 0)
      text += fmt::format(": differs from the reference by {:.1e} of the range", reports[i].difference);
  }
  return text;
}

}  // namespace

int devices(const DevicesOptions& options) {
  const int threads = options.threads > 0 ? options.threads : default_threads();
  const std::string isa = chosen_isa();
  const Memory memory = machine_memory();
  const double bandwidth = measure_read_bandwidth(threads);
  const double difference = self_test(make_cpu({.threads = threads, .isa = ""}));
  const bool passed = difference <= self_test_tolerance;
  std::string why;
  const std::vector<GpuReport> gpus = test_gpus(&why);
  if (options.json) {
    std::puts(to_text({{"cpu",
                        {{"model", cpu_model()},
                         {"isa", isa},
                         {"isas", cpu_isas()},
                         {"threads", threads},
                         {"memory_bytes", memory.total},
                         {"memory_available_bytes", memory.available},
                         {"read_bandwidth_gb_per_second", bandwidth * 1e-9},
                         {"self_test", passed ? "passed" : "failed"},
                         {"self_test_difference", difference}}},
                       {"gpus", gpus_json(gpus)}},
                      1)
                  .c_str());
  } else {
    std::puts(fmt::format("CPU: {}\n"
                          "  kernels    {} (present: {})\n"
                          "  threads    {}\n"
                          "  memory     {}, {} available\n"
                          "  reads      {:.1f} GB/s\n"
                          "  self-test  {}: differs from the reference by {:.1e} of the range\n"
                          "{}",
                          cpu_model(), isa, fmt::join(cpu_isas(), ", "), threads,
                          size_text(static_cast<double>(memory.total)),
                          size_text(static_cast<double>(memory.available)), bandwidth * 1e-9,
                          passed ? "passed" : "FAILED", difference, gpus_text(gpus, why))
                  .c_str());
  }
  if (!passed)
    fail(
        "self-test: the {} kernels are off by {:.1e} of the range, at most {:.0e} was expected; "
        "RF_ISA=scalar avoids "
        "them",
        isa, difference, self_test_tolerance);
  for (const GpuReport& report : gpus)
    if (report.verdict.starts_with("FAILED"))
      fail("self-test of {}: {}; --device cpu avoids it", report.gpu.name, report.verdict);
  return 0;
}

}  // namespace rf
