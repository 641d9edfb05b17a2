// Device: one GPU, opened: its memory, its one stream, launches, and the only ways bytes go to and from it.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gpu/driver.h"

namespace rf::gpu {

// Memory as the amdgpu kernel driver counts it, bytes; 0 where it does not. The carve-out is a card's own
// memory, or what is set aside of main memory for an APU; the GTT is main memory that the device may use.
struct KernelMemory {
  std::size_t carve_out = 0, carve_out_free = 0, gtt = 0, gtt_free = 0;

  // Of the device in the slot `pci_id`, from the files that the kernel keeps under `cards`.
  static KernelMemory of(const std::string& pci_id, const std::filesystem::path& cards = "/sys/class/drm");

  // How much of the `free` bytes that the driver promises there are. Of a card what goes beyond its own
  // memory ends up in the GTT, silently, and is read over the bus; an APU may have both.
  std::size_t bounded(std::size_t free, bool integrated) const;
};

struct DeviceInfo {
  std::string name, arch, pci_id, library;
  int version = 0;     // of the driver, as it counts them
  int processors = 0;  // compute units, multiprocessors
  int wave = 0;
  std::size_t lds = 0;  // of a block, bytes
  bool integrated = false;
  std::size_t memory = 0, free = 0;  // as the driver says
  KernelMemory kernel;               // of an AMD device
};

class Device;

// A piece of device memory that begins on a unit of Device.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device& device, std::size_t bytes);  // throws DeviceError
  ~Buffer();
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept;
  Address at() const { return address_; }
  std::size_t bytes() const { return bytes_; }

 private:
  Device* device_ = nullptr;
  Address block_ = 0, address_ = 0;  // as the driver gave it, and within it
  std::size_t bytes_ = 0;
};

// Page-locked host memory, that the device reads and writes by itself.
class Pinned {
 public:
  Pinned() = default;
  Pinned(Device& device, std::size_t bytes);
  ~Pinned();
  Pinned(Pinned&& other) noexcept { *this = std::move(other); }
  Pinned& operator=(Pinned&& other) noexcept;
  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  Device* device_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// A kernel to launch and all that it is told.
struct Launch {
  std::string_view kernel;
  unsigned grid[3] = {1, 1, 1};
  unsigned threads = 0;
  unsigned lds = 0;  // dynamic, bytes
  std::vector<std::byte> params{};
  Handle function = nullptr;
};

class Device {
 public:
  static constexpr std::size_t unit = 4096;  // slots and staging begin on and measure multiples of it

  // Opens it and checks how it copies to the host. Throws DeviceError.
  Device(std::shared_ptr<Driver> driver, int index);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const Driver& driver() const { return *driver_; }
  const DeviceInfo& info() const { return info_; }
  std::size_t free_memory();
  bool bounces() const { return bounces_; }  // copies to the host take the long way

  void use() { driver_->use(index_); }  // by the calling thread

  // Through pinned staging; returns when `from` may change. Throws DeviceError, as all below.
  void copy_in(Address to, const void* from, std::size_t bytes);
  // From pinned memory, in the stream: `from` must stay as it is until the stream has come there.
  void copy_in_later(Address to, const Pinned& from, std::size_t bytes);
  // Returns when the bytes are there: the one way back.
  void copy_out(void* to, Address from, std::size_t bytes);
  // The same in the stream, for whole units on both sides.
  void copy_out_later(const Pinned& to, Address from, std::size_t bytes);
  void copy_within(Address to, Address from, std::size_t bytes);

  // Loads the code objects that have them and finds each kernel. Throws DeviceError naming one that is
  // missing.
  void find_functions(std::span<Launch> launches);
  void launch(const Launch& launch);

  // Waits for the stream. Throws DeviceError when work takes longer than the watchdog allows.
  void wait();

  // Launches between the two become a graph.
  void begin_capture();
  Handle end_capture();
  void abandon_capture() noexcept;
  void launch_graph(Handle graph);
  void destroy_graph(Handle graph);

  // Marks a point of the stream; after wait(), nanoseconds between two of them.
  Handle mark();
  std::int64_t between(Handle first, Handle last);
  void destroy_mark(Handle mark);

 private:
  friend class Buffer;
  friend class Pinned;
  Handle function(std::string_view kernel);
  void check(int code, const char* call);
  [[noreturn]] void give_up(const std::string& why);
  void probe();
  bool copies_right(std::size_t offset, std::size_t bytes, Address pattern,
                    std::span<const std::byte> expected);
  void read_unit_by_unit(std::byte* to, Address from, std::size_t bytes);

  std::shared_ptr<Driver> driver_;
  int index_;
  DeviceInfo info_;
  Handle stream_ = nullptr;
  std::vector<std::pair<std::string, Handle>> functions_;
  std::vector<Handle> modules_;
  Pinned staging_[2];
  Handle staged_[2] = {};  // events: when each may be filled again
  Buffer bounce_;
  bool bounces_ = false;
  bool overlaps_ = false;  // launches
  bool failed_ = false;    // it is left alone: what it holds is not even given back
  std::int64_t longest_wait_ns_;
};

struct FoundDevice {
  std::shared_ptr<Driver> driver;
  int index;  // in its driver
};
// Every GPU, in the order that --device gpu:N counts. *why says what was wrong with drivers that have none.
std::vector<FoundDevice> find_devices(const std::string& library, std::string* why);
DeviceInfo describe(Driver& driver, int index);

}  // namespace rf::gpu
