// How many rows of prompts go with decoding ones, on machines whose steps cost what a formula says.
#include "engine/pace.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "unit/engine/world.h"

namespace rf {
namespace {

struct Machine {
  double decode, stream;  // ms of a step, and more for each stream
  double any, row;        // ms more where there is a prompt, and for each row of it
  double depth = 0;       // of a row's cost, more for a thousand tokens read
  double noise = 0;       // of a step's time
  double ms(int streams, int rows, int read, double chance) const {
    const double prompt = rows > 0 ? any + row * rows * (1 + depth * read / 1000) : 0;
    return (decode + stream * streams + prompt) * (1 + noise * chance);
  }
};

struct Seen {
  double mean, high;  // of steps while it was read, as factors of one without prompts at that time
  double used;        // of the rows that would have fitted
};

Seen read_long_prompt(const Machine& machine, int streams, double gap, int tokens = 4000) {
  std::mt19937 random(4);
  std::normal_distribution<double> normal;
  const auto chance = [&] { return std::abs(normal(random)); };
  Pace pace(gap, 512);
  const auto ns = [](double ms) { return static_cast<std::int64_t>(ms * 1e6); };
  pace.note(ns(machine.ms(0, 40, 0, chance())), 0, 40);
  for (int i = 0; i < 20; ++i) pace.note(ns(machine.ms(streams, 0, 0, chance())), streams, 0);
  std::vector<double> factors;
  double fitting = 0;
  for (int read = 0; read < tokens;) {
    const int rows = std::min(pace.prompt_rows(), tokens - read);
    EXPECT_GE(rows, 0);
    const double took = machine.ms(streams, rows, read, chance());
    pace.note(ns(took), streams, rows);
    read += rows;
    factors.push_back(took / machine.ms(streams, 0, read, 0));
    const double room = (gap - 1) * machine.ms(streams, 0, read, 0) - machine.any;
    fitting += std::max(1.0, std::floor(room / (machine.row * (1 + machine.depth * read / 1000))));
  }
  std::ranges::sort(factors);
  return {.mean = std::accumulate(factors.begin(), factors.end(), 0.0) / static_cast<double>(factors.size()),
          .high = factors[factors.size() * 95 / 100],
          .used = tokens / fitting};
}

// Gaps stay well within the factor, and prompts use a good part of what there is.
TEST(Pace, KeepsToTheGapOnAnyMachine) {
  for (const Machine& machine :
       {Machine{.decode = 4, .stream = 0.5, .any = 0.5, .row = 1, .depth = 0.1},
        Machine{.decode = 30, .stream = 2, .any = 6, .row = 5},
        Machine{.decode = 1, .stream = 0.02, .any = 0.2, .row = 0.03, .depth = 0.02},
        Machine{.decode = 4, .stream = 0.5, .any = 0.5, .row = 1, .depth = 0.1, .noise = 0.1}})
    for (const int streams : {1, 4, 12})
      for (const double gap : {1.5, 2.0, 4.0}) {
        SCOPED_TRACE(testing::Message() << machine.decode << " ms, " << streams << " streams, gap " << gap);
        const Seen seen = read_long_prompt(machine, streams, gap);
        EXPECT_LE(seen.mean, 0.95 * gap);
        EXPECT_LE(seen.high, gap * (1 + machine.noise));
        // Least where having any takes much of the gap.
        const double room = (gap - 1) * machine.ms(streams, 0, 0, 0);
        EXPECT_GT(seen.used, machine.any < room / 4 ? 0.45 : 0.25);
      }
}

// One row of a long prompt costs more than a step without it, as it reads all before.
TEST(Pace, MakesUpForWhatTakesTooLong) {
  const Machine machine{.decode = 4, .stream = 0.5, .any = 6, .row = 1.5, .noise = 0.1};
  for (const double gap : {1.5, 2.0}) {
    const Seen seen = read_long_prompt(machine, 1, gap);
    EXPECT_LE(seen.mean, gap);
    EXPECT_GE(seen.mean, 1 + (gap - 1) * 0.5) << "the prompt gets its part";
    EXPECT_LE(seen.high, 6);
  }
}

// A machine that became slower than it was when decoding was last looked at.
TEST(Pace, LooksAgain) {
  Pace pace(2, 512);
  for (int i = 0; i < 10; ++i) pace.note(4'000'000, 1, 0);
  int looks = 0;
  for (int i = 0; i < 200; ++i) {
    const int rows = pace.prompt_rows();
    looks += rows == 0;
    pace.note(20'000'000 + rows * 5'000'000, 1, rows);
  }
  EXPECT_GE(looks, 10);
  EXPECT_LE(looks, 20);
  EXPECT_NEAR(pace.prompt_rows(), 3, 1);
}

// In steps with prompts all streams get their row, however many prompts there are.
TEST(Pace, StreamsNeverMissAStep) {
  test::World world(600, 4, {.rows = 64, .wanted = 16, .sequences = 16, .pages = 60});
  std::vector<Sequence*> streams, prompts;
  for (int i = 0; i < 4; ++i) streams.push_back(&world.add(test::prompt(5, i)));
  world.step();
  for (int i = 0; i < 10; ++i) prompts.push_back(&world.add(test::prompt(80, 10 + i)));
  for (int i = 0; i < 200; ++i) {
    const int most = i % 7;
    world.scheduler.set_prompt_rows(most);
    std::vector<int> before;
    for (const Sequence* s : streams) before.push_back(s->read);
    world.step();
    for (std::size_t s = 0; s < streams.size(); ++s) EXPECT_EQ(streams[s]->read, before[s] + 1);
    int prompt_rows = 0;
    for (const auto& piece : world.scheduler.pieces()) prompt_rows += piece.decoding ? 0 : piece.rows;
    EXPECT_LE(prompt_rows, most);
    if (i < 100) {
      EXPECT_EQ(prompt_rows, most);
    }
  }
  for (const Sequence* s : prompts) EXPECT_NEAR(s->read, 60, 8) << "they take turns";
}

}  // namespace
}  // namespace rf
