#include "gpu/capture.h"

#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "gpu/objects.h"

namespace rf::gpu {
namespace {

struct Change {
  const char* arena;
  std::size_t offset, bytes;
};

constexpr std::size_t grain = 64;  // bytes: differences are written in such pieces

void write_file(const std::string& path, const std::string& text, std::ios::openmode mode) {
  std::ofstream out(path, mode | std::ios::binary);
  out << text;
  if (!out.flush()) fail("ROCMFORGE_CAPTURE: {} cannot be written", path);
}

// What of `now` differs from `before`, whose bytes it takes on; the bytes themselves go to `out`.
void differences(const char* arena, std::vector<std::byte>& before, const std::vector<std::byte>& now,
                 std::vector<Change>& changes, std::string& out) {
  for (std::size_t at = 0; at < now.size(); at += grain) {
    const std::size_t bytes = std::min(grain, now.size() - at);
    if (std::memcmp(before.data() + at, now.data() + at, bytes) == 0) continue;
    const bool goes_on = !changes.empty() && changes.back().arena == arena &&
                         changes.back().offset + changes.back().bytes == at;
    if (goes_on)
      changes.back().bytes += bytes;
    else
      changes.push_back({arena, at, bytes});
    out.append(reinterpret_cast<const char*>(now.data() + at), bytes);
  }
  before = now;
}

std::string json(const std::vector<Change>& changes) {
  std::string text;
  for (const Change& each : changes)
    text += fmt::format("{}[\"{}\",{},{}]", text.empty() ? "" : ",", each.arena, each.offset, each.bytes);
  return "[" + text + "]";
}

}  // namespace

std::optional<Capture> Capture::from_environment(const DeviceInfo& device) {
  const char* folder = std::getenv("ROCMFORGE_CAPTURE");
  if (folder == nullptr || *folder == '\0') return std::nullopt;
  const char* filter = std::getenv("ROCMFORGE_CAPTURE_FILTER");
  Capture capture;
  capture.folder_ = folder;
  capture.filter_ = filter != nullptr ? filter : "*";
  capture.target_ = target_for(device.arch);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  return capture;
}

void Capture::run(Device& device, const Layout& layout, const std::vector<Launch>& launches) {
  const MemoryNeed need = layout.need();
  std::vector<Arena> arenas{{"weights", layout.weights, std::vector<std::byte>(need.weights)},
                            {"cache", layout.cache, std::vector<std::byte>(need.cache)},
                            {"activations", layout.activations, std::vector<std::byte>(need.activations)}};
  if (!weights_written_) {
    std::string header;
    for (Arena& arena : arenas) {
      device.copy_out(arena.bytes.data(), arena.at, arena.bytes.size());
      write_file(folder_ + "/" + arena.name + ".bin",
                 std::string(reinterpret_cast<const char*>(arena.bytes.data()), arena.bytes.size()),
                 std::ios::trunc);
      header += fmt::format("{}{{\"name\":\"{}\",\"address\":{},\"bytes\":{}}}", header.empty() ? "" : ",",
                            arena.name, arena.at, arena.bytes.size());
    }
    write_file(folder_ + "/launches.jsonl",
               fmt::format("{{\"target\":\"{}\",\"arenas\":[{}]}}\n", target_, header), std::ios::trunc);
    weights_written_ = true;
    known_ = std::move(arenas);
  }
  for (const Launch& launch : launches) {
    const bool chosen = ::fnmatch(filter_.c_str(), std::string(launch.kernel).c_str(), 0) == 0;
    if (chosen)
      write(device, launch);
    else
      device.launch(launch);
  }
}

// One line: the launch, what had changed before it (by launches not written, and copies), what it changed.
void Capture::write(Device& device, const Launch& launch) {
  std::vector<Change> before, after;
  std::string bytes;
  const auto look = [&](std::vector<Change>& changes) {
    for (Arena& arena : known_) {
      if (std::strcmp(arena.name, "weights") == 0) continue;
      std::vector<std::byte> now(arena.bytes.size());
      device.copy_out(now.data(), arena.at, now.size());
      differences(arena.name, arena.bytes, now, changes, bytes);
    }
  };
  look(before);
  device.launch(launch);
  device.wait();
  look(after);
  std::vector<std::size_t> pointers;
  std::string params;
  for (std::size_t at = 0; at < launch.params.size(); ++at) {
    params += fmt::format("{:02x}", static_cast<unsigned>(launch.params[at]));
    if (at % sizeof(Address) != 0 || at + sizeof(Address) > launch.params.size()) continue;
    Address address;
    std::memcpy(&address, launch.params.data() + at, sizeof address);
    if (std::ranges::any_of(
            known_, [&](const Arena& a) { return address >= a.at && address < a.at + a.bytes.size(); }))
      pointers.push_back(at);
  }
  write_file(fmt::format("{}/{:06}.bin", folder_, next_), bytes, std::ios::trunc);
  write_file(
      folder_ + "/launches.jsonl",
      fmt::format(
          "{{\"number\":{},\"kernel\":\"{}\",\"grid\":[{},{},{}],\"block\":{},\"lds\":{},\"params\":\"{}\","
          "\"pointers\":[{}],\"before\":{},\"after\":{}}}\n",
          next_, launch.kernel, launch.grid[0], launch.grid[1], launch.grid[2], launch.threads, launch.lds,
          params, fmt::join(pointers, ","), json(before), json(after)),
      std::ios::app);
  ++next_;
}

}  // namespace rf::gpu
