// Sequences that have to give way, and beginnings that have left the cache: what was read is not read again.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "temporary_folder.h"
#include "unit/engine/world.h"

namespace rf {
namespace {

using test::alone;
using test::finish;
using test::prompt;
using test::World;

const PageStore::Options in_memory{.host_bytes = 1 << 20};

// Twelve sequences, some of which begin alike, over pages for about two of the five that may run. Returns the
// tokens that were read in all.
int run_crowd(World& world) {
  std::vector<Sequence*> all;
  for (int i = 0; i < 12; ++i) all.push_back(&world.add(prompt(1 + (i * 7) % 19, i % 3)));
  int rows = 0;
  while (!world.scheduler.idle()) {
    if (world.step().empty()) ADD_FAILURE() << "nothing was read";
    rows += world.last_rows;
    for (Sequence* s : all)
      if (s->tokens.size() >= 30) world.scheduler.remove(*s);
  }
  for (int i = 0; i < 12; ++i)
    EXPECT_EQ(all[static_cast<std::size_t>(i)]->tokens, alone(prompt(1 + (i * 7) % 19, i % 3), 30));
  EXPECT_EQ(world.pool.available(), world.pool.count());
  return rows;
}

TEST(Preemption, GoesOnWithoutReadingATokenAgain) {
  for (const int snapshots : {-1, 0, 2, 40})
    for (const int page_tokens : {1, 3, 8})
      for (const int rows : {1, 3, 40}) {
        SCOPED_TRACE(testing::Message()
                     << snapshots << " snapshots, pages of " << page_tokens << ", rows " << rows);
        const BatchLimits limits{.rows = rows, .wanted = 3, .sequences = 5, .pages = 41};
        World world(40 / page_tokens + 3, page_tokens, limits, snapshots, in_memory);
        run_crowd(world);
        EXPECT_GT(world.scheduler.sent_back(), 0u);
        EXPECT_EQ(world.cache.read_again(), 0u);
        EXPECT_GT(world.pages_brought_back, 0);
      }
}

TEST(Preemption, WithLittleMemoryReadsTheRestAgain) {
  for (const int snapshots : {-1, 3}) {
    const BatchLimits limits{.rows = 40, .wanted = 3, .sequences = 5, .pages = 41};
    World none(16, 3, limits, snapshots), little(16, 3, limits, snapshots, {.host_bytes = 1000});
    run_crowd(none);
    run_crowd(little);
    EXPECT_GT(none.cache.read_again(), little.cache.read_again());
    EXPECT_GT(little.cache.read_again(), 0u);
    EXPECT_EQ(none.store.host_bytes(), 0u);
    EXPECT_LE(little.store.host_bytes(), 1000u);
    EXPECT_GT(little.store.host_bytes(), 500u);
  }
}

TEST(Preemption, InTheMiddleOfAPrompt) {
  World world(20, 4, {.rows = 10, .wanted = 2, .sequences = 2, .pages = 20}, -1, in_memory);
  Sequence& a = world.add(prompt(21, 1));
  Sequence& b = world.add(prompt(21, 2));
  while (b.read < 10) world.step();
  world.scheduler.make_room(20 - static_cast<int>(a.pages.size()));
  EXPECT_TRUE(b.pages.empty());
  const int read = b.left_off;
  EXPECT_NE(read % 4, 0);
  int rows = 0;
  while (b.tokens.size() < 22) rows += world.step()[b.id];
  EXPECT_EQ(rows, 21 - read);
  EXPECT_EQ(b.tokens, alone(prompt(21, 2), 22));
}

// A lost device takes what was put aside with it: the next one lays its pages out otherwise.
TEST(Preemption, RestartReadsAllAgain) {
  World world(16, 3, {.rows = 40, .wanted = 3, .sequences = 5, .pages = 41}, 2, in_memory);
  std::vector<Sequence*> all;
  for (int i = 0; i < 5; ++i) all.push_back(&world.add(prompt(7 + i, i)));
  for (int round = 0; round < 60; ++round) {
    if (round % 9 == 8) {
      world.scheduler.restart();
      world.cache.forget_all(1);
      EXPECT_EQ(world.store.host_bytes(), 0u);
      world.scramble();
    }
    world.step();
  }
  for (int i = 0; i < 5; ++i) {
    const Sequence& s = *all[static_cast<std::size_t>(i)];
    EXPECT_EQ(s.tokens, alone(prompt(7 + i, i), s.tokens.size()));
  }
}

TEST(Beginnings, ComeBackFromMemory) {
  for (const int snapshots : {-1, 5}) {
    World world(12, 4, {.rows = 64, .wanted = 2, .sequences = 2, .pages = 12}, snapshots, in_memory);
    finish(world, world.add(prompt(21, 1)), 22);
    for (int other = 2; other < 8; ++other) finish(world, world.add(prompt(40, other)), 41);
    Sequence& again = world.add(prompt(21, 1));
    finish(world, again, 30);
    EXPECT_EQ(again.cached, 20);
    EXPECT_EQ(again.tokens, alone(prompt(21, 1), 30));
  }
}

TEST(Beginnings, ComeBackFromTheFolderAfterARestart) {
  for (const int snapshots : {-1, 5})
    for (const std::size_t host : {std::size_t{0}, std::size_t{1} << 20}) {
      const test::TemporaryFolder folder;
      const PageStore::Options outside{
          .host_bytes = host, .folder = folder.path(), .folder_bytes = 1 << 20, .identity = 7};
      const BatchLimits limits{.rows = 64, .wanted = 2, .sequences = 2, .pages = 20};
      std::vector<std::int32_t> answer;
      {
        World world(40, 4, limits, snapshots, outside);
        Sequence& s = world.add(prompt(21, 1));
        finish(world, s, 30);
        answer = s.tokens;
        world.save();
      }
      World world(40, 4, limits, snapshots, outside);
      Sequence& same = world.add(prompt(21, 1));
      finish(world, same, 30);
      EXPECT_EQ(same.cached, 20);
      EXPECT_EQ(same.tokens, answer);
      std::vector<std::int32_t> longer = answer;
      longer.push_back(5);
      Sequence& next = world.add(longer);
      int rows = world.step()[next.id];
      EXPECT_EQ(next.cached, 28);
      EXPECT_EQ(rows, 3);
      finish(world, next, 40);
      EXPECT_EQ(next.tokens, alone(longer, 40));
      World other(40, 4, limits, snapshots,
                  {.host_bytes = host, .folder = folder.path(), .folder_bytes = 1 << 20, .identity = 8});
      Sequence& foreign = other.add(prompt(21, 1));
      finish(other, foreign, 30);
      EXPECT_EQ(foreign.cached, 0);
      EXPECT_EQ(foreign.tokens, answer);
    }
}

// A file is slow, here a pipe that nobody has written to yet: who streams goes on, who wants it waits.
TEST(Beginnings, SlowFilesStallNobodyElse) {
  const test::TemporaryFolder folder;
  const PageStore::Options outside{.folder = folder.path(), .folder_bytes = 1 << 20, .identity = 7};
  const BatchLimits limits{.rows = 64, .wanted = 2, .sequences = 2, .pages = 20};
  {
    World world(40, 4, limits, -1, outside);
    finish(world, world.add(prompt(21, 1)), 22);
    world.save();
  }
  std::vector<std::filesystem::path> files;
  for (const auto& each : std::filesystem::recursive_directory_iterator(folder.path()))
    if (each.path().extension() == ".page") files.push_back(each.path());
  ASSERT_GE(files.size(), 5u);
  const auto slow = std::ranges::find_if(
      files, [](const auto& path) { return path.filename().string().ends_with("-12.page"); });
  ASSERT_NE(slow, files.end());
  std::filesystem::remove(*slow);
  ASSERT_EQ(::mkfifo(slow->c_str(), 0600), 0);
  World world(40, 4, limits, -1, outside);
  Sequence& stream = world.add(prompt(9, 2));
  world.step();
  Sequence& waits = world.add(prompt(21, 1));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(world.step(), (std::map<std::uint64_t, int>{{stream.id, 1}}));
  EXPECT_EQ(waits.served, 0u);
  world.scheduler.remove(stream);            // it would outgrow its pages while the file is being read
  ::close(::open(slow->c_str(), O_WRONLY));  // it turns out to be of no use
  finish(world, waits, 30);
  EXPECT_EQ(waits.cached, 8);
  EXPECT_EQ(waits.tokens, alone(prompt(21, 1), 30));
}

// Whatever becomes of the files, answers are right and the beginning is read as far as it has to be.
TEST(Beginnings, DamagedFilesAreReadAgain) {
  for (const int snapshots : {-1, 5}) {
    const test::TemporaryFolder folder;
    const PageStore::Options outside{.folder = folder.path(), .folder_bytes = 1 << 20, .identity = 7};
    const BatchLimits limits{.rows = 64, .wanted = 2, .sequences = 2, .pages = 20};
    std::mt19937 random(3);
    int cached = 0;
    for (int round = 0; round < 60; ++round) {
      for (const auto& each : std::filesystem::recursive_directory_iterator(folder.path())) {
        if (!each.is_regular_file() || random() % 12 != 0) continue;
        std::string bytes = test::contents(each.path());
        if (bytes.empty() || random() % 3 == 0)
          bytes.resize(random() % 200);
        else
          bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
        test::put(each.path(), bytes);
      }
      World world(40, 4, limits, snapshots, outside);
      const int seed = static_cast<int>(random() % 3), length = 5 + static_cast<int>(random() % 20);
      Sequence& s = world.add(prompt(length, seed));
      finish(world, s, 40);
      EXPECT_EQ(s.tokens, alone(prompt(length, seed), 40));
      EXPECT_EQ(s.cached % 4, 0);
      cached += s.cached;
      world.save();
    }
    EXPECT_GT(cached, 100);
  }
}

}  // namespace
}  // namespace rf
