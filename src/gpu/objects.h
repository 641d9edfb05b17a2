// Objects: the kernels compiled ahead of time for each target, compressed in the binary.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rf::gpu {

// The target whose objects run on a device of `arch`: itself, a generic one, PTX; "" when there is none.
std::string target_for(std::string_view arch);
// All targets in this binary.
std::vector<std::string> targets();

// Images for the driver that together have `kernels` (as far as there are any) for `arch`. PTX is compiled by
// the driver at load, so its images hold only those kernels.
std::vector<std::string> images_for(std::string_view arch, std::span<const std::string_view> kernels);

}  // namespace rf::gpu
