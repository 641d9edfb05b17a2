#include "app/place.h"

#include <fnmatch.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "app/argument.h"
#include "base/error.h"
#include "cpu/cpu.h"
#include "gpu/gpu.h"

namespace rf {
namespace {

// The GPU that --device means, or null where `auto` finds none that this build has kernels for.
std::unique_ptr<Backend> wanted_gpu(const LoadOptions& options) {
  if (options.device == "sim") return make_gpu({.library = simulated_device(), .index = 0});
  if (options.device.starts_with("gpu:"))
    return make_gpu({.library = "", .index = std::atoi(options.device.c_str() + 4)});
  if (options.device == "gpu") return make_gpu({.library = "", .index = 0});
  std::string why;
  const std::vector<GpuDescription> found = find_gpus("", &why);
  for (const GpuDescription& each : found) {
    // An integrated GPU shares the CPU's memory and is taken when it is asked for.
    if (each.target.empty() || each.integrated) continue;
    return make_gpu({.library = "", .index = each.index});
  }
  if (options.gpu_layers != "auto")
    fail("--gpu-layers {}: no GPU driver found{}{}", options.gpu_layers, why.empty() ? "" : ": ", why);
  return nullptr;
}

int layers_of(const Program& program) {
  int layers = 0;
  for (const Step& step : program.steps) layers = std::max(layers, step.layer + 1);
  return layers;
}

// The names that rules see: those of the tensors multiplied, and one for attention, which has none.
std::vector<std::string> names_of(const Program& program, const Step& step) {
  std::vector<std::string> names;
  for (const Linear& linear : step.linear)
    if (linear.weight != none) names.push_back(program.weights[static_cast<std::size_t>(linear.weight)].name);
  if (names.empty()) names.push_back(fmt::format("blk.{}.{}", step.layer, op_name(step.op)));
  return names;
}

}  // namespace

std::string simulated_device() {
  if (const char* given = std::getenv("ROCMFORGE_SIM_LIBRARY"); given != nullptr && *given != '\0')
    return given;
  std::error_code error;
  const std::filesystem::path binary = std::filesystem::read_symlink("/proc/self/exe", error);
  return (binary.parent_path() / "librocmforge_sim32.so").string();
}

std::vector<std::unique_ptr<Backend>> make_backends(const LoadOptions& options) {
  if (!is_device_name(options.device))
    fail("--device: found '{}', expected auto, cpu, reference, gpu, gpu:N or sim", options.device);
  std::vector<std::unique_ptr<Backend>> backends;
  const bool gpu = options.device != "cpu" && options.device != "reference" && options.gpu_layers != "0";
  if (gpu)
    if (auto device = wanted_gpu(options)) backends.push_back(std::move(device));
  backends.push_back(
      options.device == "reference"
          ? make_reference()
          : make_cpu({.threads = options.threads, .compact = options.compact_weights, .isa = ""}));
  return backends;
}

std::function<int(const Program&, const Step&)> preference(const LoadOptions& options) {
  std::vector<PlaceRule> rules;
  for (const std::string& text : options.place) rules.push_back(parse_place_rule(text));
  const int on_gpu = options.gpu_layers == "auto" ? -1 : std::atoi(options.gpu_layers.c_str());
  const bool alone = options.device == "cpu" || options.device == "reference" || on_gpu == 0;
  return [=](const Program& program, const Step& step) {
    if (alone) return -1;
    for (const PlaceRule& rule : rules)
      for (const std::string& name : names_of(program, step))
        if (::fnmatch(rule.glob.c_str(), name.c_str(), 0) == 0) return rule.gpu ? 0 : 1;
    if (on_gpu < 0) return -1;
    // The last layers; what follows them counts as one more, and what comes before them as the very last.
    const int layers = layers_of(program);
    if (step.layer != none) return step.layer >= layers - on_gpu ? 0 : 1;
    return on_gpu > layers + (step.op == Op::embed ? 1 : 0) ? 0 : 1;
  };
}

}  // namespace rf
