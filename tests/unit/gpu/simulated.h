// The simulated device, loaded as a driver's library like any other, and its faults.
#pragma once
#include <dlfcn.h>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "gpu/gpu.h"

namespace rf::test {

inline std::string sim_library(int wave) {
  return std::string(RF_SIM_FOLDER) + "/librocmforge_sim" + std::to_string(wave) + ".so";
}

class Simulated {
 public:
  explicit Simulated(int wave) : library_(sim_library(wave)), handle_(::dlopen(library_.c_str(), RTLD_NOW)) {
    if (handle_ == nullptr) throw std::runtime_error(::dlerror());
    fault("none");
  }
  ~Simulated() { fault("none"); }
  Simulated(const Simulated&) = delete;
  Simulated& operator=(const Simulated&) = delete;

  const std::string& library() const { return library_; }
  std::unique_ptr<Backend> device() const { return make_gpu({.library = library_, .index = 0}); }
  // The words of tests/sim/faults.h.
  void fault(const std::string& words) const { call<void(const char*)>("rf_sim_fault")(words.c_str()); }
  std::size_t allocated() const { return call<std::size_t()>("rf_sim_allocated")(); }
  std::uint64_t launches() const { return call<std::uint64_t()>("rf_sim_launches")(); }

 private:
  template <class Function>
  Function* call(const char* name) const {
    return reinterpret_cast<Function*>(::dlsym(handle_, name));
  }
  std::string library_;
  void* handle_;
};

// Both wave sizes; or the first device of the driver that ROCMFORGE_TEST_DRIVER names, a real one.
inline std::vector<std::unique_ptr<Backend>> test_devices() {
  std::vector<std::unique_ptr<Backend>> devices;
  if (const char* driver = std::getenv("ROCMFORGE_TEST_DRIVER")) {
    devices.push_back(make_gpu({.library = driver, .index = 0}));
  } else {
    for (const int wave : {32, 64}) devices.push_back(make_gpu({.library = sim_library(wave), .index = 0}));
  }
  return devices;
}

// Steps of few families that have no kernels.
inline bool left_to_the_cpu(const Step& step) {
  switch (step.op) {
    case Op::index:
      return true;
    case Op::attend:
      return step.side != none;
    case Op::row:
      return step.row.kind == Row::Kind::gate;
    case Op::gate_up:
    case Op::experts_up:
      return step.clamp > 0;
    case Op::scan:
      return step.scan.kind == Scan::Kind::kda || step.scan.kind == Scan::Kind::gla;
    default:
      return step.activation == Activation::softplus;
  }
}

}  // namespace rf::test
