// Where steps run: what --device, --gpu-layers and --place say.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/commands.h"
#include "ops/backend.h"

namespace rf {

// The backends that the options ask for, best first: a GPU with the CPU behind it, or one alone. Throws Error
// for a device that is not there.
std::vector<std::unique_ptr<Backend>> make_backends(const LoadOptions& options);

// Which of them a step of a program should run on, by index; -1: no wish.
std::function<int(const Program&, const Step&)> preference(const LoadOptions& options);

// The library of the simulated device, which builds with tests put beside the binary; ROCMFORGE_SIM_LIBRARY
// names another.
std::string simulated_device();

}  // namespace rf
