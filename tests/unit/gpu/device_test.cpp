// The driver, the device and its faults, on the simulated device.
#include "gpu/device.h"

#include <gtest/gtest.h>

#include <array>

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
