#include "gpu/device.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "gpu/objects.h"

namespace rf::gpu {
namespace {

constexpr std::size_t staging_bytes = std::size_t{4} << 20;
constexpr unsigned no_timing = 2, separate_stream = 1;
constexpr int this_thread_captures = 1;

std::size_t number_in(const std::filesystem::path& file) {
  std::size_t number = 0;
  std::ifstream(file) >> number;
  return number;
}

std::int64_t watchdog_ns() {
  const char* seconds = std::getenv("ROCMFORGE_GPU_TIMEOUT");
  const double given = seconds != nullptr ? std::strtod(seconds, nullptr) : 0;
  return static_cast<std::int64_t>((given > 0 ? given : 30) * 1e9);
}

}  // namespace

KernelMemory KernelMemory::of(const std::string& pci_id, const std::filesystem::path& cards) {
  KernelMemory memory;
  std::error_code error;
  for (const auto& card : std::filesystem::directory_iterator(cards, error)) {
    const std::filesystem::path device = card.path() / "device";
    const std::filesystem::path target = std::filesystem::canonical(device, error);
    if (error || pci_id.empty() || target.filename() != pci_id) continue;
    const auto free_of = [&](const char* used, std::size_t total) {
      return total - std::min(total, number_in(device / used));
    };
    memory.carve_out = number_in(device / "mem_info_vram_total");
    memory.carve_out_free = free_of("mem_info_vram_used", memory.carve_out);
    memory.gtt = number_in(device / "mem_info_gtt_total");
    memory.gtt_free = free_of("mem_info_gtt_used", memory.gtt);
    break;
  }
  return memory;
}

std::size_t KernelMemory::bounded(std::size_t free, bool integrated) const {
  if (carve_out == 0) return free;
  return std::min(free, carve_out_free + (integrated ? gtt_free : 0));
}

std::vector<FoundDevice> find_devices(const std::string& library, std::string* why) {
  std::vector<FoundDevice> found;
  for (const std::shared_ptr<Driver>& driver : Driver::find(library, why))
    for (int i = 0; i < driver->device_count(); ++i) found.push_back({driver, i});
  return found;
}

DeviceInfo describe(Driver& driver, int index) {
  using Attribute = Driver::Attribute;
  DeviceInfo info;
  driver.use(index);
  info.name = driver.device_name(index);
  info.arch = driver.arch(index);
  info.pci_id = driver.pci_id(index);
  info.library = driver.library();
  info.version = driver.version();
  info.processors = std::max(1, driver.attribute(Attribute::processors, index));
  info.wave = driver.attribute(Attribute::wave, index);
  info.lds = static_cast<std::size_t>(std::max(driver.attribute(Attribute::lds, index), 32 << 10));
  info.integrated = driver.attribute(Attribute::integrated, index) != 0;
  driver.check(driver.calls().mem_get_info(&info.free, &info.memory), "MemGetInfo");
  if (driver.platform() == Driver::Platform::hip) info.kernel = KernelMemory::of(info.pci_id);
  return info;
}

Buffer::Buffer(Device& device, std::size_t bytes) : device_(&device), bytes_(bytes) {
  if (bytes == 0) return;
  device.use();
  device.check(device.driver_->calls().malloc(&block_, bytes + Device::unit), "Malloc");
  address_ = (block_ + Device::unit - 1) / Device::unit * Device::unit;
}

Buffer::~Buffer() {
  if (block_ != 0 && !device_->failed_) device_->driver_->calls().free(block_);
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(block_, other.block_);
  std::swap(address_, other.address_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Pinned::Pinned(Device& device, std::size_t bytes) : device_(&device), bytes_(bytes) {
  if (bytes == 0) return;
  device.use();
  void* block = nullptr;
  device.check(device.driver_->calls().host_malloc(&block, bytes, 0), "HostMalloc");
  data_ = static_cast<std::byte*>(block);
}

Pinned::~Pinned() {
  if (data_ != nullptr && !device_->failed_) device_->driver_->calls().host_free(data_);
}

Pinned& Pinned::operator=(Pinned&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Device::Device(std::shared_ptr<Driver> driver, int index)
    : driver_(std::move(driver)),
      index_(index),
      info_(describe(*driver_, index)),
      longest_wait_ns_(watchdog_ns()) {
  check(driver_->calls().stream_create(&stream_, separate_stream), "StreamCreate");
  for (int i = 0; i < 2; ++i) {
    staging_[i] = Pinned(*this, staging_bytes);
    check(driver_->calls().event_create(&staged_[i], no_timing), "EventCreate");
  }
  // Kernels wait for the launch before them where they are compiled for it.
  overlaps_ = driver_->can_overlap() && target_for(info_.arch) == "ptx90";
  probe();
}

Device::~Device() {
  if (failed_) return;
  const Driver::Calls& calls = driver_->calls();
  for (const Handle event : staged_)
    if (event != nullptr) calls.event_destroy(event);
  for (const Handle module : modules_) calls.module_unload(module);
  if (stream_ != nullptr) calls.stream_destroy(stream_);
}

void Device::check(int code, const char* call) {
  if (code != 0 && !driver_->is_out_of_memory(code)) failed_ = true;
  driver_->check(code, call);
}

void Device::give_up(const std::string& why) {
  failed_ = true;
  throw DeviceError(info_.name + ": " + why, false);
}

std::size_t Device::free_memory() {
  std::size_t free = 0, total = 0;
  use();
  check(driver_->calls().mem_get_info(&free, &total), "MemGetInfo");
  if (driver_->platform() != Driver::Platform::hip) return free;
  return KernelMemory::of(info_.pci_id).bounded(free, info_.integrated);
}

void Device::copy_in(Address to, const void* from, std::size_t bytes) {
  const auto* source = static_cast<const std::byte*>(from);
  for (int i = 0; bytes > 0; i ^= 1) {
    const std::size_t piece = std::min(bytes, staging_bytes);
    if (const int code = driver_->calls().event_query(staged_[i]); driver_->is_not_ready(code))
      wait();
    else
      check(code, "EventQuery");
    std::memcpy(staging_[i].data(), source, piece);
    copy_in_later(to, staging_[i], piece);
    check(driver_->calls().event_record(staged_[i], stream_), "EventRecord");
    source += piece, to += piece, bytes -= piece;
  }
}

void Device::copy_in_later(Address to, const Pinned& from, std::size_t bytes) {
  check(driver_->calls().copy_in(to, from.data(), bytes, stream_), "MemcpyHtoD");
}

void Device::copy_within(Address to, Address from, std::size_t bytes) {
  check(driver_->calls().copy_within(to, from, bytes, stream_), "MemcpyDtoD");
}

void Device::copy_out_later(const Pinned& to, Address from, std::size_t bytes) {
  check(driver_->calls().copy_out(to.data(), from, bytes, stream_), "MemcpyDtoH");
}

void Device::copy_out(void* to, Address from, std::size_t bytes) {
  auto* out = static_cast<std::byte*>(to);
  if (bounces_) return read_unit_by_unit(out, from, bytes);
  for (std::size_t done = 0; done < bytes; done += staging_bytes) {
    const std::size_t piece = std::min(bytes - done, staging_bytes);
    wait();  // staging is free
    copy_out_later(staging_[0], from + done, piece);
    wait();
    std::memcpy(out + done, staging_[0].data(), piece);
  }
}

// Only whole units that begin on one are read, out of a copy on the device.
void Device::read_unit_by_unit(std::byte* to, Address from, std::size_t bytes) {
  for (std::size_t done = 0; done < bytes; done += bounce_.bytes()) {
    const std::size_t piece = std::min(bytes - done, bounce_.bytes());
    wait();
    copy_within(bounce_.at(), from + done, piece);
    copy_out_later(staging_[0], bounce_.at(), (piece + unit - 1) / unit * unit);
    wait();
    std::memcpy(to + done, staging_[0].data(), piece);
  }
}

bool Device::copies_right(std::size_t offset, std::size_t bytes, Address pattern,
                          std::span<const std::byte> expected) {
  std::memset(staging_[0].data(), 0, bytes);
  copy_out_later(staging_[0], pattern + offset, bytes);
  wait();
  return std::memcmp(staging_[0].data(), expected.data() + offset, bytes) == 0;
}

void Device::probe() {
  constexpr std::size_t around[] = {std::size_t{4} << 10, std::size_t{64} << 10, std::size_t{2} << 20};
  std::vector<std::byte> expected(staging_bytes);
  std::uint32_t state = 1;
  for (std::byte& byte : expected) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<std::byte>(state >> 24);
  }
  Buffer pattern(*this, staging_bytes);
  copy_in(pattern.at(), expected.data(), staging_bytes);
  wait();
  const bool trusted = [&] {
    for (const std::size_t offset : {0u, 1u, 4u, 60u, 4092u, 4096u, 65540u})
      for (const std::size_t base : around)
        for (const std::size_t bytes : {base - 4, base - 1, base, base + 1, base + 4, base + 4096})
          if (!copies_right(offset, bytes, pattern.at(), expected)) return false;
    return true;
  }();
  if (trusted) return;
  bounces_ = true;
  bounce_ = Buffer(*this, staging_bytes);
  std::vector<std::byte> found(staging_bytes - 5);
  copy_out(found.data(), pattern.at() + 5, found.size());
  if (!std::equal(found.begin(), found.end(), expected.begin() + 5))
    give_up("copies to the host bring wrong bytes");
  spdlog::warn(
      "{}: the driver copies some sizes and offsets to the host wrongly; reading whole pages instead",
      info_.name);
}

void Device::find_functions(std::span<Launch> launches) {
  use();
  std::vector<std::string_view> missing;
  const auto known = [&](std::string_view kernel) {
    return std::ranges::any_of(functions_, [&](const auto& each) { return each.first == kernel; });
  };
  for (const Launch& launch : launches)
    if (!known(launch.kernel) && std::ranges::find(missing, launch.kernel) == missing.end())
      missing.push_back(launch.kernel);
  if (!missing.empty()) {
    for (const std::string& image : images_for(info_.arch, missing)) {
      Handle module = nullptr;
      check(driver_->calls().module_load(&module, image.data()), "ModuleLoadData");
      modules_.push_back(module);
      for (const std::string_view kernel : missing) {
        Handle function = nullptr;
        const std::string name(kernel);
        if (!known(kernel) && driver_->calls().module_function(&function, module, name.c_str()) == 0) {
          driver_->prefer_lds(function);
          functions_.emplace_back(name, function);
        }
      }
    }
  }
  for (Launch& launch : launches) launch.function = function(launch.kernel);
}

Handle Device::function(std::string_view kernel) {
  const auto at =
      std::ranges::find(functions_, kernel, [](const auto& each) { return std::string_view(each.first); });
  if (at == functions_.end())
    give_up(fmt::format("no code object for {} has the kernel {}", info_.arch, kernel));
  return at->second;
}

void Device::launch(const Launch& one) {
  void* params[] = {const_cast<std::byte*>(one.params.data())};
  if (overlaps_)
    return check(driver_->launch_overlapping(one.function, one.grid, one.threads, one.lds, stream_, params),
                 "LaunchKernelEx");
  check(driver_->calls().launch(one.function, one.grid[0], one.grid[1], one.grid[2], one.threads, 1, 1,
                                one.lds, stream_, params, nullptr),
        "LaunchKernel");
}

void Device::wait() {
  const std::int64_t start = now_ns();
  for (;;) {
    const int code = driver_->calls().stream_query(stream_);
    if (code == 0) return;
    if (!driver_->is_not_ready(code)) check(code, "StreamQuery");
    const std::int64_t waited = now_ns() - start;
    if (waited > longest_wait_ns_)
      give_up(fmt::format("no answer for {:.1f} s", static_cast<double>(waited) * 1e-9));
    // Every microsecond of a token counts, and a sleep overshoots by a hundred: only for what takes long
    // anyway.
    if (waited > 20'000'000) std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

void Device::begin_capture() {
  check(driver_->calls().capture_begin(stream_, this_thread_captures), "StreamBeginCapture");
}

Handle Device::end_capture() {
  Handle graph = nullptr, exec = nullptr;
  check(driver_->calls().capture_end(stream_, &graph), "StreamEndCapture");
  const int code = driver_->calls().graph_make(&exec, graph, 0);
  driver_->calls().graph_destroy(graph);
  check(code, "GraphInstantiate");
  return exec;
}

void Device::abandon_capture() noexcept {
  Handle graph = nullptr;
  if (driver_->calls().capture_end(stream_, &graph) == 0 && graph != nullptr)
    driver_->calls().graph_destroy(graph);
}

void Device::launch_graph(Handle graph) {
  check(driver_->calls().graph_launch(graph, stream_), "GraphLaunch");
}

void Device::destroy_graph(Handle graph) {
  if (failed_) return;
  driver_->calls().exec_destroy(graph);
}

Handle Device::mark() {
  Handle event = nullptr;
  check(driver_->calls().event_create(&event, 0), "EventCreate");
  check(driver_->calls().event_record(event, stream_), "EventRecord");
  return event;
}

std::int64_t Device::between(Handle first, Handle last) {
  float milliseconds = 0;
  check(driver_->calls().event_elapsed(&milliseconds, first, last), "EventElapsedTime");
  return static_cast<std::int64_t>(static_cast<double>(milliseconds) * 1e6);
}

void Device::destroy_mark(Handle mark) {
  driver_->calls().event_destroy(mark);
}

}  // namespace rf::gpu
