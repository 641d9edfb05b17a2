// Capture: ROCMFORGE_CAPTURE=DIR writes every launch of a run to a folder: docs/hip-debugging.md has the
// format.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gpu/device.h"
#include "gpu/layout.h"

namespace rf::gpu {

class Capture {
 public:
  // As ROCMFORGE_CAPTURE and ROCMFORGE_CAPTURE_FILTER say; nothing without the former.
  static std::optional<Capture> from_environment(const DeviceInfo& device);

  // Runs the launches one by one and writes what memory was before and after each.
  void run(Device& device, const Layout& layout, const std::vector<Launch>& launches);

 private:
  struct Arena {
    const char* name;
    Address at;
    std::vector<std::byte> bytes;
  };
  void write(Device& device, const Launch& launch);

  std::string folder_, filter_, target_;
  int next_ = 0;
  bool weights_written_ = false;
  std::vector<Arena> known_;  // what memory held last
};

}  // namespace rf::gpu
