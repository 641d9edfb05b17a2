#include "engine/scheduler.h"

#include <random>

#include "unit/engine/world.h"

namespace rf {
namespace {

using test::alone;
using test::finish;
using test::prompt;
using test::World;

using Rows = std::map<std::uint64_t, int>;

TEST(Scheduler, DecodesFirstAndSharesTheRestOfTheBudget) {
  World world(100, 4, {.rows = 10, .wanted = 8, .sequences = 8, .pages = 20});
  world.add(prompt(4, 1));
  EXPECT_EQ(world.step(), (Rows{{1, 4}}));
  world.add(prompt(30, 2));
  world.add(prompt(3, 3));
  EXPECT_EQ(world.step(), (Rows{{1, 1}, {2, 6}, {3, 3}}))
      << "what the short prompt leaves, the long one takes";
  EXPECT_EQ(world.step(), (Rows{{1, 1}, {2, 8}, {3, 1}}));
}

TEST(Scheduler, ALongPromptStarvesNobody) {
  World world(300, 4, {.rows = 8, .wanted = 4, .sequences = 4, .pages = 250});
  const Sequence& lengthy = world.add(prompt(900, 1));
  world.step();
  const Sequence& brief = world.add(prompt(8, 2));
  for (int i = 0; i < 2; ++i) world.step();
  EXPECT_EQ(brief.tokens.size(), 9u);
  EXPECT_EQ(lengthy.read, 16);
}

TEST(Scheduler, OneRowIsSharedInTurn) {
  World world(100, 4, {.rows = 1, .wanted = 1, .sequences = 3, .pages = 20});
  const Sequence& a = world.add(prompt(1, 1));
  const Sequence& b = world.add(prompt(6, 2));
  const Sequence& c = world.add(prompt(1, 3));
  for (int i = 0; i < 30; ++i) {
    world.step();
    EXPECT_EQ(world.last_rows, 1);
  }
  EXPECT_EQ(a.read, 10);
  EXPECT_EQ(b.read, 10);
  EXPECT_EQ(c.read, 10);
}

TEST(Scheduler, WantedRowsAreLimitedAndTakenInTurn) {
  World world(100, 4, {.rows = 64, .wanted = 2, .sequences = 3, .pages = 20});
  std::vector<const Sequence*> all;
  for (int i = 1; i <= 3; ++i) all.push_back(&world.add(prompt(5, i)));
  for (int i = 0; i < 30; ++i) {
    world.step();
    EXPECT_LE(world.scheduler.batch().wanted(), 2);
  }
  for (const Sequence* s : all) {
    EXPECT_NEAR(static_cast<double>(s->tokens.size()), 5 + 20, 1);
    EXPECT_EQ(s->tokens, alone(prompt(5, static_cast<int>(s->id)), s->tokens.size()));
  }
}

TEST(Scheduler, SequencesAreLimitedAndLetInInOrder) {
  World world(100, 4, {.rows = 64, .wanted = 8, .sequences = 2, .pages = 20});
  Sequence& a = world.add(prompt(5, 1));
  world.add(prompt(5, 2));
  world.add(prompt(5, 3));
  world.add(prompt(5, 4));
  EXPECT_EQ(world.step(), (Rows{{1, 5}, {2, 5}}));
  world.scheduler.remove(a);
  EXPECT_EQ(world.step(), (Rows{{2, 1}, {3, 5}}));
}

TEST(Scheduler, WaitingSequencesCanBeRemoved) {
  World world(100, 4, {.rows = 64, .wanted = 8, .sequences = 1, .pages = 20});
  Sequence& a = world.add(prompt(5, 1));
  Sequence& b = world.add(prompt(5, 2));
  world.step();
  world.scheduler.remove(b);
  world.scheduler.remove(a);
  EXPECT_TRUE(world.scheduler.idle());
  EXPECT_EQ(world.step(), Rows{});
  EXPECT_EQ(world.pool.available(), 100);
}

TEST(Scheduler, TakesThePrefixFromTheCacheButNeverTheLastToken) {
  World world(100, 4, {.rows = 64, .wanted = 8, .sequences = 8, .pages = 20});
  Sequence& first = world.add(prompt(8, 1));
  world.step();
  Sequence& same = world.add(prompt(8, 1));
  Sequence& more = world.add(prompt(11, 1));
  EXPECT_EQ(world.step(), (Rows{{1, 1}, {2, 1}, {3, 3}}));
  EXPECT_EQ(same.cached, 7) << "a copy of what the other one has read";
  EXPECT_EQ(more.cached, 8);
  EXPECT_EQ(same.pages[0], first.pages[0]);
  EXPECT_EQ(same.pages[1], first.pages[1]) << "read again, found to be the same";
  EXPECT_EQ(same.tokens.back(), first.tokens[8]);
  EXPECT_EQ(more.tokens, alone(prompt(11, 1), 12));
}

// As the choices of a request with n > 1 do: they hold the prompt's full pages together, and one more each.
TEST(Scheduler, SamePromptsAreReadOnce) {
  for (const int length : {3, 8, 18, 41}) {
    World world(11 + 13, 4, {.rows = 16, .wanted = 8, .sequences = 8, .pages = 16});
    std::vector<Sequence*> choices;
    for (int i = 0; i < 5; ++i) choices.push_back(&world.add(prompt(length, 1)));
    int rows = 0;
    for (int i = 0; choices.back()->read < length; ++i) {
      ASSERT_LT(i, 20);
      world.step();
      rows += world.last_rows;
    }
    const int steps = (length + 15) / 16;
    EXPECT_LE(rows, length + 2 * 4 + steps) << "the first one answers while the others begin";
    EXPECT_EQ(choices[0]->cached, 0);
    for (int i = 1; i < 5; ++i) EXPECT_EQ(choices[static_cast<std::size_t>(i)]->cached, length - 1);
    EXPECT_LE(world.pool.count() - world.pool.available(), (length + 3) / 4 + 5);
    for (int i = 0; i < 9; ++i) world.step();
    for (const Sequence* s : choices) EXPECT_EQ(s->tokens, alone(prompt(length, 1), s->tokens.size()));
  }
}

TEST(Scheduler, LetsInOnlyWhatFindsPages) {
  World world(6, 4, {.rows = 64, .wanted = 8, .sequences = 8, .pages = 6});
  Sequence& a = world.add(prompt(12, 1));
  world.add(prompt(12, 2));
  world.add(prompt(2, 3));
  EXPECT_EQ(world.step(), (Rows{{1, 12}})) << "nobody overtakes, and a page is left for the first to grow";
  world.scheduler.remove(a);
  EXPECT_EQ(world.step(), (Rows{{2, 12}, {3, 2}}));
}

TEST(Scheduler, SendsTheYoungestBackWhenPagesRunOut) {
  World world(6, 2, {.rows = 64, .wanted = 8, .sequences = 8, .pages = 6});
  Sequence& a = world.add(prompt(4, 1));
  Sequence& b = world.add(prompt(3, 2));
  EXPECT_EQ(world.step(), (Rows{{1, 4}, {2, 3}}));
  EXPECT_EQ(world.step(), (Rows{{1, 1}, {2, 1}}));
  EXPECT_EQ(world.step(), (Rows{{1, 1}, {2, 1}}));
  EXPECT_EQ(world.step(), (Rows{{1, 1}})) << "four pages the older one, and none for the younger's third";
  EXPECT_TRUE(b.pages.empty());
  Sequence& c = world.add(prompt(1, 3));
  EXPECT_EQ(world.step(), (Rows{{1, 1}})) << "the one sent back stays before later ones";
  world.scheduler.remove(a);
  EXPECT_GT(world.step()[2], 0);
  EXPECT_EQ(b.cached, 0) << "as it was when it was let in first";
  while (b.tokens.size() < 10) world.step();
  EXPECT_EQ(a.tokens, alone(prompt(4, 1), a.tokens.size()));
  EXPECT_EQ(b.tokens, alone(prompt(3, 2), b.tokens.size()));
  EXPECT_EQ(c.tokens, alone(prompt(1, 3), c.tokens.size()));
}

TEST(Scheduler, MakesRoomForOthers) {
  World world(8, 4, {.rows = 64, .wanted = 8, .sequences = 8, .pages = 8});
  Sequence& a = world.add(prompt(8, 1));
  Sequence& b = world.add(prompt(9, 2));
  world.step();
  world.scheduler.make_room(5);
  EXPECT_EQ(world.pool.available(), 6);
  EXPECT_TRUE(b.pages.empty());
  EXPECT_FALSE(a.pages.empty());
  EXPECT_EQ(world.step(), (Rows{{1, 1}, {2, 2}})) << "what it had published, it finds again";
  EXPECT_EQ(b.tokens, alone(prompt(9, 2), b.tokens.size()));
}

// Many sequences with common beginnings over too few pages give what each gives alone.
TEST(Scheduler, WhateverElseRunsTheTokensAreTheSame) {
  for (const int page_tokens : {1, 3, 8})
    for (const int rows : {1, 3, 40}) {
      World world(40 / page_tokens + 1, page_tokens,
                  {.rows = rows, .wanted = 3, .sequences = 5, .pages = 41});
      std::vector<Sequence*> all;
      for (int i = 0; i < 12; ++i) all.push_back(&world.add(prompt(1 + (i * 7) % 19, i % 3)));
      int steps = 0;
      for (; !world.scheduler.idle(); ++steps) {
        ASSERT_LT(steps, 5000);
        world.step();
        for (Sequence* s : all)
          if (s->tokens.size() >= 30) world.scheduler.remove(*s);
      }
      for (int i = 0; i < 12; ++i)
        EXPECT_EQ(all[static_cast<std::size_t>(i)]->tokens, alone(prompt(1 + (i * 7) % 19, i % 3), 30));
      EXPECT_EQ(world.pool.available(), world.pool.count());
    }
}

TEST(SchedulerStates, APromptIsGoneOnFromItsLastFullPage) {
  World world(100, 4, {.rows = 64, .wanted = 2, .sequences = 2, .pages = 20}, 5);
  finish(world, world.add(prompt(14, 1)), 15);
  Sequence& again = world.add(prompt(14, 1));
  finish(world, again, 30);
  EXPECT_EQ(again.cached, 12);
  // The answer too: another turn of a conversation.
  std::vector<std::int32_t> longer = again.tokens;
  longer.insert(longer.end(), {7, 8, 9});
  Sequence& next = world.add(longer);
  finish(world, next, 40);
  EXPECT_EQ(next.cached, 28);
  EXPECT_EQ(next.tokens, alone(longer, 40));
}

TEST(SchedulerStates, WherePromptsPartASnapshotIsTaken) {
  World world(200, 4, {.rows = 64, .wanted = 2, .sequences = 2, .pages = 20}, 9);
  const auto with = [](int end) {
    std::vector<std::int32_t> tokens = prompt(21, 1);
    for (int i = 0; i < 9; ++i) tokens.push_back(100 * end + i);
    return tokens;
  };
  int cached[3];
  for (int i = 0; i < 3; ++i) {
    Sequence& s = world.add(with(i));
    finish(world, s, 40);
    EXPECT_EQ(s.tokens, alone(with(i), 40));
    cached[i] = s.cached;
  }
  EXPECT_EQ(cached[0], 0);
  EXPECT_EQ(cached[1], 0) << "nobody had known that others would go on differently";
  EXPECT_EQ(cached[2], 20);
}

TEST(SchedulerStates, WhoWaitsForAReaderGoesOnFromWhereTheyPart) {
  World world(200, 4, {.rows = 16, .wanted = 2, .sequences = 2, .pages = 20}, 5);
  std::vector<std::int32_t> first = prompt(21, 1), second = first;
  first.insert(first.end(), {1, 2, 3, 4, 5});
  second.insert(second.end(), {6, 7, 8});
  Sequence& a = world.add(first);
  Sequence& b = world.add(second);
  while (a.tokens.size() < 40 || b.tokens.size() < 40) world.step();
  EXPECT_EQ(b.cached, 20);
  EXPECT_EQ(a.tokens, alone(first, a.tokens.size()));
  EXPECT_EQ(b.tokens, alone(second, b.tokens.size()));
}

// Requests that share beginnings, come and go at random and are sent back for want of pages: the state that
// World checks is right at every answer, with any number of snapshots.
TEST(SchedulerStates, AreRightWhateverRuns) {
  for (const int snapshots : {0, 1, 3, 8}) {
    std::mt19937 random(static_cast<unsigned>(snapshots) + 11);
    World world(24, 4, {.rows = 9, .wanted = 3, .sequences = 3, .pages = 16}, snapshots);
    std::vector<std::pair<Sequence*, std::size_t>> live;
    int cached = 0;
    for (int round = 0; round < 600; ++round) {
      if (live.size() < 5 && random() % 3 == 0) {
        std::vector<std::int32_t> tokens = prompt(static_cast<int>(random() % 3) * 9 + 3, 1);
        for (auto more = random() % 8; more > 0; --more)
          tokens.push_back(static_cast<std::int32_t>(random() % 2));
        const std::size_t length = tokens.size() + 1 + random() % 20;
        live.emplace_back(&world.add(std::move(tokens)), length);
      }
      world.step();
      std::erase_if(live, [&](const auto& each) {
        if (each.first->tokens.size() < each.second && random() % 100 != 0) return false;
        cached += each.first->cached;
        world.scheduler.remove(*each.first);
        return true;
      });
    }
    EXPECT_EQ(world.copies > 0, snapshots > 0);
    EXPECT_EQ(cached == 0, snapshots == 0);
  }
}

}  // namespace
}  // namespace rf
