#include "base/team.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace rf {
namespace {

TEST(Team, EveryMemberRunsOnceAndSeesWhatWasWrittenBeforeABarrier) {
  for (const int size : {1, 2, 3, 5}) {
    Team team(size);
    std::vector<int> cells(static_cast<std::size_t>(size));
    for (int round = 0; round < 200; ++round) {
      std::atomic<int> prepared{0}, wrong{0};
      team.run([&](int member) {
        cells[static_cast<std::size_t>(member)] = round + member;
        team.barrier([&] { ++prepared; });
        for (int m = 0; m < size; ++m)
          if (cells[static_cast<std::size_t>(m)] != round + m) ++wrong;
        team.barrier();
        cells[static_cast<std::size_t>(member)] = -1;
      });
      ASSERT_EQ(prepared, 1);
      ASSERT_EQ(wrong, 0);
      for (const int cell : cells) ASSERT_EQ(cell, -1);
    }
  }
}

TEST(Team, IdleMembersUseNoProcessor) {
  Team team(3);
  team.run([](int) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const auto used = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_utime.tv_sec) + static_cast<double>(usage.ru_utime.tv_usec) * 1e-6;
  };
  const double before = used();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(used() - before, 0.1);
}

}  // namespace
}  // namespace rf
