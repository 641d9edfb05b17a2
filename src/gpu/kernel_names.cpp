#include "gpu/kernel_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <string>

#include "gpu/kernels/list.h"

namespace rf::gpu {
namespace {

#define RF_GPU_KERNEL(kernel, Params, threads) {#kernel, threads},
constexpr KernelInfo kernels[] = {RF_GPU_KERNELS};
#undef RF_GPU_KERNEL

// Names are made once; what is asked for again is the same text.
std::string_view kept(std::string name) {
  static std::set<std::string, std::less<>> names;
  return *names.insert(std::move(name)).first;
}

}  // namespace

const KernelInfo* find_kernel(std::string_view name) {
  const auto at = std::ranges::find(kernels, name, &KernelInfo::name);
  return at == std::end(kernels) ? nullptr : &*at;
}

std::string_view kernel_of(std::string_view family, Type type) {
  return kept(fmt::format("rf_{}_{}", family, type_info(type).name));
}

std::string_view kernel_of(std::string_view family, KvType kv, int size) {
  return kept(fmt::format("rf_{}_{}_{}", family, kv_name(kv), size));
}

}  // namespace rf::gpu
