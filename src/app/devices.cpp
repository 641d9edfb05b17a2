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

namespace rf {
namespace {

std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name") && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return "unknown";
}

}  // namespace

int devices(const DevicesOptions& options) {
  const int threads = options.threads > 0 ? options.threads : default_threads();
  const std::string isa = chosen_isa();
  const Memory memory = machine_memory();
  const double bandwidth = measure_read_bandwidth(threads);
  const double difference = self_test(make_cpu({.threads = threads, .isa = ""}));
  const bool passed = difference <= self_test_tolerance;
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
                       {"gpus", nlohmann::ordered_json::array()}},
                      1)
                  .c_str());
  } else {
    std::puts(fmt::format("CPU: {}\n"
                          "  kernels    {} (present: {})\n"
                          "  threads    {}\n"
                          "  memory     {}, {} available\n"
                          "  reads      {:.1f} GB/s\n"
                          "  self-test  {}: differs from the reference by {:.1e} of the range\n"
                          "GPU: none: no GPU back end in this build",
                          cpu_model(), isa, fmt::join(cpu_isas(), ", "), threads,
                          size_text(static_cast<double>(memory.total)),
                          size_text(static_cast<double>(memory.available)), bandwidth * 1e-9,
                          passed ? "passed" : "FAILED", difference)
                  .c_str());
  }
  if (!passed)
    fail(
        "self-test: the {} kernels are off by {:.1e} of the range, at most {:.0e} was expected; "
        "RF_ISA=scalar avoids "
        "them",
        isa, difference, self_test_tolerance);
  return 0;
}

}  // namespace rf
