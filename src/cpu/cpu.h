// The CPU back end: kernels for each instruction set, chosen at run time, and a standing team of threads.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "ops/backend.h"

namespace rf {

struct CpuOptions {
  int threads = 0;       // 0: every processor this process may run on
  bool compact = false;  // weights take the file's room even where memory allows more (tensor/tiles.h)
  std::string isa;       // one of cpu_isas(); empty: the environment's RF_ISA, else the best
};

// Throws Error when the wanted instruction set is not present.
std::unique_ptr<Backend> make_cpu(const CpuOptions& options);

// The instruction sets that this processor has kernels for, best first; "scalar" is always the last.
std::vector<std::string> cpu_isas();
// The one that make_cpu() would take. Throws as it does.
std::string chosen_isa(const std::string& wanted = "");

// Bytes per second that `threads` threads read from memory, measured over about 0.2 s.
double measure_read_bandwidth(int threads);

}  // namespace rf
