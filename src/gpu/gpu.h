// The GPU back end: kernels/*.hip on any device that a driver found at run time gives.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "ops/backend.h"

namespace rf {

struct GpuDescription {
  int index = 0;  // N of --device gpu:N
  std::string name, arch, target, library, pci_id;
  int driver_version = 0, processors = 0, wave = 0;
  bool integrated = false, bounces = false;
  std::size_t memory = 0, free = 0;                  // bytes, as the driver says
  std::size_t carve_out = 0, gtt = 0, gtt_free = 0;  // as the kernel says; 0 where it does not
  std::vector<int> peers;  // GPUs whose memory it reaches without the host, by their index
};

// Every GPU that a driver finds and that answers; the log names those that do not. `library`: the driver to
// ask ("": the usual ones). *why says what was wrong where there is none.
std::vector<GpuDescription> find_gpus(const std::string& library, std::string* why);

struct GpuOptions {
  std::string library;  // the driver; "": the usual ones
  int index = 0;
};
// Throws Error when there is no such device, or none of this build's code objects runs on it.
std::unique_ptr<Backend> make_gpu(const GpuOptions& options);

// The targets that this build has code objects for.
std::vector<std::string> gpu_targets();

}  // namespace rf
