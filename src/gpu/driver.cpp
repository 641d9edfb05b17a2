#include "gpu/driver.h"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <cstring>

namespace rf::gpu {
namespace {

struct Entry {
  const char *hip, *cuda;
};

// In the order of Driver::Calls.
constexpr Entry entries[] = {
    {"hipMemGetInfo", "cuMemGetInfo_v2"},
    {"hipMalloc", "cuMemAlloc_v2"},
    {"hipFree", "cuMemFree_v2"},
    {"hipHostMalloc", "cuMemHostAlloc"},
    {"hipHostFree", "cuMemFreeHost"},
    {"hipMemcpyHtoDAsync", "cuMemcpyHtoDAsync_v2"},
    {"hipMemcpyDtoHAsync", "cuMemcpyDtoHAsync_v2"},
    {"hipMemcpyDtoDAsync", "cuMemcpyDtoDAsync_v2"},
    {"hipMemsetD8Async", "cuMemsetD8Async"},
    {"hipModuleLoadData", "cuModuleLoadData"},
    {"hipModuleUnload", "cuModuleUnload"},
    {"hipModuleGetFunction", "cuModuleGetFunction"},
    {"hipModuleLaunchKernel", "cuLaunchKernel"},
    {"hipStreamCreateWithFlags", "cuStreamCreate"},
    {"hipStreamDestroy", "cuStreamDestroy_v2"},
    {"hipStreamSynchronize", "cuStreamSynchronize"},
    {"hipStreamQuery", "cuStreamQuery"},
    {"hipEventCreateWithFlags", "cuEventCreate"},
    {"hipEventDestroy", "cuEventDestroy_v2"},
    {"hipEventRecord", "cuEventRecord"},
    {"hipEventQuery", "cuEventQuery"},
    {"hipEventElapsedTime", "cuEventElapsedTime"},
    {"hipStreamBeginCapture", "cuStreamBeginCapture_v2"},
    {"hipStreamEndCapture", "cuStreamEndCapture"},
    {"hipGraphInstantiateWithFlags", "cuGraphInstantiateWithFlags"},
    {"hipGraphLaunch", "cuGraphLaunch"},
    {"hipGraphExecDestroy", "cuGraphExecDestroy"},
    {"hipGraphDestroy", "cuGraphDestroy"},
};
static_assert(sizeof entries / sizeof *entries * sizeof(void*) == sizeof(Driver::Calls));

template <class Function>
Function* as(void* symbol) {
  return reinterpret_cast<Function*>(symbol);
}

// Attributes by number: hipDeviceAttribute_t as ROCm 5 to 7 have it, and CUdevice_attribute.
struct Numbers {
  int hip, cuda;
};
constexpr Numbers attribute_numbers[] = {{63, 16}, {87, 10}, {74, 8}, {16, 18}, {23, 75}, {61, 76}};

}  // namespace

std::vector<std::shared_ptr<Driver>> Driver::find(const std::string& library, std::string* why) {
  std::vector<std::string> names{"libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5", "libamdhip64.so",
                                 "libcuda.so.1"};
  const char* given = std::getenv("ROCMFORGE_GPU_LIBRARY");
  if (!library.empty())
    names = {library};
  else if (given != nullptr && *given != '\0')
    names = {given};
  std::vector<std::shared_ptr<Driver>> found;
  for (const std::string& name : names) {
    if (!found.empty() && found.back()->platform() == Platform::hip &&
        name.find("amdhip") != std::string::npos)
      continue;  // one HIP is enough
    if (auto driver = open(name, why)) found.push_back(std::move(driver));
  }
  return found;
}

std::shared_ptr<Driver> Driver::open(const std::string& path, std::string* why) {
  const auto say = [&](const std::string& text) {
    if (why != nullptr) *why += (why->empty() ? "" : "; ") + path + ": " + text;
  };
  std::shared_ptr<Driver> driver(new Driver);
  driver->library_ = path;
  driver->handle_ = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (driver->handle_ == nullptr) {
    const char* text = ::dlerror();
    // That a library is not there is no news unless it was asked for.
    if (path.find('/') != std::string::npos) say(text != nullptr ? text : "cannot be loaded");
    return nullptr;
  }
  std::string reason;
  if (driver->load(&reason) && driver->start(&reason)) return driver;
  say(reason);
  return nullptr;
}

Driver::~Driver() {
  // The library stays loaded: drivers do not survive being unloaded while their threads run.
}

void* Driver::find(const char* name) const {
  return ::dlsym(handle_, name);
}

bool Driver::load(std::string* why) {
  platform_ = find("hipInit") != nullptr ? Platform::hip : Platform::cuda;
  std::array<void*, sizeof entries / sizeof *entries> table{};
  for (std::size_t i = 0; i < table.size(); ++i) {
    const char* name = platform_ == Platform::hip ? entries[i].hip : entries[i].cuda;
    table[i] = find(name);
    if (table[i] != nullptr) continue;
    *why = fmt::format("has no entry point {}", name);
    return false;
  }
  std::memcpy(&calls_, table.data(), sizeof calls_);
  launch_ex_ = find("cuLaunchKernelEx");
  set_attribute_ = find("cuFuncSetAttribute");
  for (const char* name : {platform_ == Platform::hip ? "hipSetDevice" : "cuCtxSetCurrent",
                           platform_ == Platform::hip ? "hipSetDevice" : "cuDevicePrimaryCtxRetain"})
    if (find(name) == nullptr) {
      *why = fmt::format("has no entry point {}", name);
      return false;
    }
  return true;
}

bool Driver::start(std::string* why) {
  const bool hip = platform_ == Platform::hip;
  auto* init = as<int(unsigned)>(find(hip ? "hipInit" : "cuInit"));
  auto* count = as<int(int*)>(find(hip ? "hipGetDeviceCount" : "cuDeviceGetCount"));
  auto* version = as<int(int*)>(find(hip ? "hipDriverGetVersion" : "cuDriverGetVersion"));
  if (init == nullptr || count == nullptr) {
    *why = "is no GPU driver";
    return false;
  }
  if (const int code = init(0); code != 0) {
    *why = "no device: " + error_text(code);
    return false;
  }
  const int code = count(&devices_);
  if (code != 0 || devices_ <= 0) {
    *why = code != 0 ? "no device: " + error_text(code) : "no device";
    return false;
  }
  if (version != nullptr && version(&version_) != 0) version_ = 0;
  contexts_.resize(static_cast<std::size_t>(devices_));
  return true;
}

void Driver::prefer_lds(Handle function) const {
  constexpr int carveout = 9, all = 100;  // CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, percent
  if (set_attribute_ != nullptr) as<int(Handle, int, int)>(set_attribute_)(function, carveout, all);
}

int Driver::launch_overlapping(Handle function, const unsigned (&grid)[3], unsigned threads, unsigned lds,
                               Handle stream, void** params) const {
  struct Extra {  // CUlaunchAttribute
    int id;
    alignas(8) int value[16];
  };
  struct Config {  // CUlaunchConfig
    unsigned grid[3], block[3], lds;
    Handle stream;
    Extra* attributes;
    unsigned count;
  };
  constexpr int programmatic_stream_serialization = 6;
  Extra attribute{programmatic_stream_serialization, {1}};
  const Config config{{grid[0], grid[1], grid[2]}, {threads, 1, 1}, lds, stream, &attribute, 1};
  return as<int(const Config*, Handle, void**, void**)>(launch_ex_)(&config, function, params, nullptr);
}

std::string Driver::error_text(int code) const {
  const char* name = nullptr;
  if (platform_ == Platform::hip) {
    if (auto* text = as<const char*(int)>(find("hipGetErrorName"))) name = text(code);
  } else if (auto* text = as<int(int, const char**)>(find("cuGetErrorName"))) {
    text(code, &name);
  }
  return fmt::format("{} ({})", name != nullptr ? name : "unknown error", code);
}

void Driver::check(int code, const char* call) const {
  if (code != 0) throw DeviceError(fmt::format("{}: {}", call, error_text(code)), is_out_of_memory(code));
}

int Driver::attribute(Attribute which, int device) const {
  const bool hip = platform_ == Platform::hip;
  auto* get = as<int(int*, int, int)>(find(hip ? "hipDeviceGetAttribute" : "cuDeviceGetAttribute"));
  const Numbers& numbers = attribute_numbers[static_cast<std::size_t>(which)];
  int value = 0;
  if (get == nullptr || get(&value, hip ? numbers.hip : numbers.cuda, device) != 0) return 0;
  return value;
}

std::string Driver::device_name(int device) const {
  const bool hip = platform_ == Platform::hip;
  auto* get = as<int(char*, int, int)>(find(hip ? "hipDeviceGetName" : "cuDeviceGetName"));
  char name[256] = {};
  if (get == nullptr || get(name, sizeof name - 1, device) != 0) return "unknown device";
  return name;
}

// hipDeviceProp_t has changed its layout from version to version; the arch's name is the one text in it that
// begins with "gfx", so it is searched for in a buffer larger than any of them.
std::string Driver::arch(int device) const {
  if (platform_ == Platform::cuda)
    return fmt::format("sm_{}{}", attribute(Attribute::major, device), attribute(Attribute::minor, device));
  for (const char* call : {"hipGetDevicePropertiesR0600", "hipGetDeviceProperties"}) {
    auto* get = as<int(void*, int)>(find(call));
    if (get == nullptr) continue;
    std::vector<char> properties(64 << 10);
    if (get(properties.data(), device) != 0) continue;
    properties.back() = '\0';
    const std::string_view all(properties.data(), properties.size());
    // The device's own name, at the front, may hold the letters as well.
    for (std::size_t at = all.find("gfx", 256); at != std::string_view::npos; at = all.find("gfx", at + 1)) {
      const std::string name(all.data() + at);
      const std::string arch = name.substr(0, name.find(':'));
      if (arch.size() > 4 && arch.size() < 32) return arch;
    }
  }
  return "";
}

std::string Driver::pci_id(int device) const {
  const bool hip = platform_ == Platform::hip;
  auto* get = as<int(char*, int, int)>(find(hip ? "hipDeviceGetPCIBusId" : "cuDeviceGetPCIBusId"));
  char id[64] = {};
  if (get == nullptr || get(id, sizeof id - 1, device) != 0) return "";
  return id;
}

bool Driver::reaches(int device, int other) const {
  auto* ask = as<int(int*, int, int)>(
      find(platform_ == Platform::hip ? "hipDeviceCanAccessPeer" : "cuDeviceCanAccessPeer"));
  int can = 0;
  return ask != nullptr && ask(&can, device, other) == 0 && can != 0;
}

void Driver::use(int device) {
  if (platform_ == Platform::hip) {
    check(as<int(int)>(find("hipSetDevice"))(device), "hipSetDevice");
    return;
  }
  Handle& context = contexts_[static_cast<std::size_t>(device)];
  if (context == nullptr)
    check(as<int(Handle*, int)>(find("cuDevicePrimaryCtxRetain"))(&context, device),
          "cuDevicePrimaryCtxRetain");
  check(as<int(Handle)>(find("cuCtxSetCurrent"))(context), "cuCtxSetCurrent");
}

}  // namespace rf::gpu
