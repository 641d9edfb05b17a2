// The driver, the device and its faults, on the simulated device.
#include "gpu/device.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "simulated.h"

namespace rf::test {
namespace {

TEST(GpuDriver, WhereThereIsNoneItSaysSo) {
  std::string why;
  EXPECT_TRUE(find_gpus("/nowhere/libamdhip64.so", &why).empty());
  EXPECT_NE(why.find("/nowhere/libamdhip64.so"), std::string::npos) << why;
  EXPECT_THROW(make_gpu({.library = "/nowhere/libamdhip64.so", .index = 0}), Error);
  // A library that is no driver.
  why.clear();
  EXPECT_TRUE(find_gpus("libm.so.6", &why).empty());
  EXPECT_NE(why.find("libm.so.6"), std::string::npos) << why;
}

TEST(GpuDriver, TheArchIsReadFromProperties) {
  for (const int wave : {32, 64}) {
    const Simulated simulated(wave);
    std::string why;
    const auto found = find_gpus(simulated.library(), &why);
    ASSERT_EQ(found.size(), 1u) << why;
    EXPECT_EQ(found[0].arch, "gfxsim" + std::to_string(wave));
    EXPECT_EQ(found[0].wave, wave);
    EXPECT_FALSE(found[0].bounces);
  }
}

std::shared_ptr<gpu::Driver> driver_of(const Simulated& simulated) {
  std::string why;
  const auto found = gpu::find_devices(simulated.library(), &why);
  if (found.empty()) throw std::runtime_error(why);
  return found[0].driver;
}

// Also with a driver that copies odd places wrongly: the probe finds out.
TEST(GpuDevice, BytesComeBackFromAnywhere) {
  const Simulated simulated(32);
  for (const char* fault : {"none", "copy"}) {
    simulated.fault(fault);
    gpu::Device device(driver_of(simulated), 0);
    EXPECT_EQ(device.bounces(), std::string(fault) == "copy");
    constexpr std::size_t size = 9 << 20;  // more than staging holds
    std::vector<std::byte> bytes(size), back(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 2654435761u >> 13);
    gpu::Buffer buffer(device, size);
    device.copy_in(buffer.at(), bytes.data(), size);
    for (const std::size_t offset : {0u, 1u, 4095u, 70001u})
      for (const std::size_t count : {std::size_t{1}, std::size_t{4097}, std::size_t{65537}, size - 70001}) {
        device.copy_out(back.data(), buffer.at() + offset, count);
        EXPECT_TRUE(std::equal(back.begin(), back.begin() + static_cast<std::ptrdiff_t>(count),
                               bytes.begin() + static_cast<std::ptrdiff_t>(offset)))
            << fault << " " << offset << " " << count;
      }
  }
}

// A device that no way of reading brings right bytes from is refused, and others are numbered as before.
TEST(GpuDevice, ThatReadsBackWronglyIsRefused) {
  const Simulated simulated(32);
  simulated.fault("garble");
  EXPECT_THROW(simulated.device(), DeviceError);
  std::string why;
  EXPECT_TRUE(find_gpus(simulated.library(), &why).empty());
  EXPECT_NE(why.find("wrong bytes"), std::string::npos) << why;
}

// Files as the amdgpu kernel driver keeps them, of an APU and of a card.
TEST(GpuDevice, KernelFilesTellItsMemory) {
  namespace fs = std::filesystem;
  const fs::path root = fs::temp_directory_path() / fmt::format("rf_drm_{}", ::getpid());
  const auto make = [&](const char* card, const char* pci_id, std::array<std::size_t, 4> numbers) {
    const fs::path device = root / "devices" / pci_id;
    fs::create_directories(device);
    fs::create_directories(root / "drm" / card);
    fs::create_directory_symlink(device, root / "drm" / card / "device");
    const char* files[] = {"vram_total", "vram_used", "gtt_total", "gtt_used"};
    for (std::size_t i = 0; i < 4; ++i)
      std::ofstream(device / (std::string("mem_info_") + files[i])) << numbers[i] << "\n";
  };
  make("card0", "0000:c5:00.0", {512, 112, 16000, 1000});
  make("card1", "0000:03:00.0", {24000, 4000, 32000, 10});
  fs::create_directories(root / "drm" / "card1-HDMI-A-1");  // a connector, which is no device
  std::ofstream(root / "drm" / "version") << "drm 1.1.0\n";

  const auto apu = gpu::KernelMemory::of("0000:c5:00.0", root / "drm");
  EXPECT_EQ(apu.carve_out, 512u);
  EXPECT_EQ(apu.carve_out_free, 400u);
  EXPECT_EQ(apu.gtt, 16000u);
  EXPECT_EQ(apu.gtt_free, 15000u);
  EXPECT_EQ(apu.bounded(400, true), 400u);      // a driver that hands out the carve-out alone
  EXPECT_EQ(apu.bounded(99999, true), 15400u);  // one that hands out both
  const auto card = gpu::KernelMemory::of("0000:03:00.0", root / "drm");
  EXPECT_EQ(card.bounded(24000, false), 20000u);  // what others hold, and never the GTT
  EXPECT_EQ(card.bounded(100, false), 100u);
  const auto none = gpu::KernelMemory::of("0000:04:00.0", root / "drm");
  EXPECT_EQ(none.carve_out, 0u);
  EXPECT_EQ(none.bounded(777, false), 777u);
  EXPECT_EQ(gpu::KernelMemory::of("", root / "drm").gtt, 0u);
  EXPECT_EQ(gpu::KernelMemory::of("0000:03:00.0", root / "nowhere").gtt, 0u);
  fs::remove_all(root);
}

TEST(GpuDevice, MemoryIsGivenBackAndItsEndIsAnError) {
  const Simulated simulated(32);
  gpu::Device device(driver_of(simulated), 0);
  const std::size_t before = simulated.allocated();
  {
    gpu::Buffer buffer(device, 1 << 20);
    const std::size_t taken = simulated.allocated();
    EXPECT_GE(taken, before + (1 << 20));
    gpu::Buffer moved = std::move(buffer);
    EXPECT_EQ(simulated.allocated(), taken);
  }
  EXPECT_EQ(simulated.allocated(), before);
  simulated.fault("oom:1000000");
  try {
    gpu::Buffer buffer(device, 1 << 20);
    FAIL() << "more than there is was given";
  } catch (const DeviceError& error) {
    EXPECT_TRUE(error.out_of_memory());
    EXPECT_NE(std::string(error.what()).find("OutOfMemory"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace rf::test
