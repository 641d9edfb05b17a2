#include "base/team.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <set>
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

TEST(Team, AsLargeAsTheMachineHasAProcessorForEachMember) {
  cpu_set_t before, inside, after;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  const int size = default_threads();
  Team team(size);
  for (int round = 0; round < 20; ++round) {
    std::vector<int> processors(static_cast<std::size_t>(size));
    team.run([&](int member) {
      if (member == 0) sched_getaffinity(0, sizeof inside, &inside);
      processors[static_cast<std::size_t>(member)] = sched_getcpu();
      team.barrier();
    });
    EXPECT_EQ(CPU_COUNT(&inside), 1);
    EXPECT_EQ(std::set(processors.begin(), processors.end()).size(), processors.size());
  }
  ASSERT_EQ(sched_getaffinity(0, sizeof after, &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&before, &after)) << "the caller goes where it likes";
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
