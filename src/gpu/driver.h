// Driver: the GPU driver's entry points, found at run time: HIP (libamdhip64, AMD's or the simulated
// device's) or CUDA (libcuda). Both name them alike, so one table serves both.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ops/backend.h"

namespace rf::gpu {

using Address = std::uintptr_t;  // of device memory
// Handles are the driver's own.
using Handle = void*;

class Driver {
 public:
  enum class Platform : std::uint8_t { hip, cuda };

  // Every driver of this machine that has a device: HIP first. `library`: only this file ("": the usual
  // names, and what ROCMFORGE_GPU_LIBRARY names). Never throws; *why says of each library what was wrong with
  // it.
  static std::vector<std::shared_ptr<Driver>> find(const std::string& library, std::string* why);
  ~Driver();
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  Platform platform() const { return platform_; }
  const std::string& library() const { return library_; }
  int device_count() const { return devices_; }
  int version() const { return version_; }

  // "name (number)" of an error code.
  std::string error_text(int code) const;
  // Throws DeviceError when code is not 0.
  void check(int code, const char* call) const;
  bool is_out_of_memory(int code) const { return code == 2; }
  bool is_not_ready(int code) const { return code == 600; }

  // The number of a device attribute: the two platforms count differently.
  enum class Attribute : std::uint8_t { processors, wave, lds, integrated, major, minor };
  int attribute(Attribute which, int device) const;
  std::string device_name(int device) const;
  // "gfx1100", "sm_90": without features after a colon; "" when the driver does not say.
  std::string arch(int device) const;
  std::string pci_id(int device) const;  // "0000:03:00.0", or ""
  // Whether `device` reads and writes the memory of another one by itself, without the host between.
  bool reaches(int device, int other) const;

  // Makes `device` the calling thread's.
  void use(int device);

  // The entry points themselves; each returns the driver's error code.
  struct Calls {
    int (*mem_get_info)(std::size_t* free, std::size_t* total);
    int (*malloc)(Address* address, std::size_t bytes);
    int (*free)(Address address);
    int (*host_malloc)(void** address, std::size_t bytes, unsigned flags);
    int (*host_free)(void* address);
    int (*copy_in)(Address to, const void* from, std::size_t bytes, Handle stream);
    int (*copy_out)(void* to, Address from, std::size_t bytes, Handle stream);
    int (*copy_within)(Address to, Address from, std::size_t bytes, Handle stream);
    int (*fill)(Address to, unsigned char value, std::size_t bytes, Handle stream);
    int (*module_load)(Handle* module, const void* image);
    int (*module_unload)(Handle module);
    int (*module_function)(Handle* function, Handle module, const char* name);
    int (*launch)(Handle function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                  unsigned block_y, unsigned block_z, unsigned lds, Handle stream, void** params,
                  void** extra);
    int (*stream_create)(Handle* stream, unsigned flags);
    int (*stream_destroy)(Handle stream);
    int (*stream_wait)(Handle stream);
    int (*stream_query)(Handle stream);
    int (*event_create)(Handle* event, unsigned flags);
    int (*event_destroy)(Handle event);
    int (*event_record)(Handle event, Handle stream);
    int (*event_query)(Handle event);
    int (*event_elapsed)(float* milliseconds, Handle first, Handle last);
    int (*capture_begin)(Handle stream, int mode);
    int (*capture_end)(Handle stream, Handle* graph);
    int (*graph_make)(Handle* exec, Handle graph, unsigned long long flags);
    int (*graph_launch)(Handle exec, Handle stream);
    int (*exec_destroy)(Handle exec);
    int (*graph_destroy)(Handle graph);
  };
  const Calls& calls() const { return calls_; }

  // A launch that may begin while the one before it ends (CUDA's programmatic dependent launch): kernels wait
  // by themselves. False: this driver has no such launches.
  bool can_overlap() const { return launch_ex_ != nullptr; }
  // Lets a kernel run with as much LDS as there is, as all others do: changing the share drains the
  // multiprocessors.
  void prefer_lds(Handle function) const;
  int launch_overlapping(Handle function, const unsigned (&grid)[3], unsigned threads, unsigned lds,
                         Handle stream, void** params) const;

 private:
  Driver() = default;
  static std::shared_ptr<Driver> open(const std::string& path, std::string* why);
  bool load(std::string* why);
  bool start(std::string* why);
  void* find(const char* name) const;

  Platform platform_ = Platform::hip;
  std::string library_;
  void* handle_ = nullptr;
  int devices_ = 0, version_ = 0;
  Calls calls_{};
  void *launch_ex_ = nullptr, *set_attribute_ = nullptr;
  std::vector<Handle> contexts_;  // CUDA's primary contexts, by device
};

}  // namespace rf::gpu
