#include "engine/page_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace rf {
namespace {

using Tokens = std::vector<std::int32_t>;

// Takes and publishes the full pages of `tokens`, as a sequence that read them all does.
Tokens read(PagePool& pool, const Tokens& tokens) {
  const auto size = static_cast<std::size_t>(pool.page_tokens());
  Tokens held = pool.match(tokens);
  for (std::size_t i = held.size(); i < tokens.size() / size; ++i) {
    const std::int32_t page = pool.take();
    held.push_back(pool.publish(held.empty() ? PagePool::no_page : held.back(), page,
                                std::span(tokens).subspan(i * size, size)));
  }
  return held;
}

TEST(PagePool, EveryPageIsTakenOnce) {
  PagePool pool(5, 4);
  Tokens held;
  while (pool.available() > 0) held.push_back(pool.take());
  EXPECT_EQ(std::set<std::int32_t>(held.begin(), held.end()), (std::set<std::int32_t>{0, 1, 2, 3, 4}));
  pool.release(held);
  EXPECT_TRUE(held.empty());
  EXPECT_EQ(pool.available(), 5);
}

TEST(PagePool, MatchesTheLongestRunOfFullPages) {
  PagePool pool(8, 2);
  const Tokens held = read(pool, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(pool.match(Tokens{1, 2, 3, 4, 5, 6, 7}), held);
  EXPECT_EQ(pool.match(Tokens{1, 2, 3, 4, 5}), Tokens(held.begin(), held.begin() + 2));
  EXPECT_EQ(pool.match(Tokens{1, 2, 3, 9, 5, 6}), Tokens(held.begin(), held.begin() + 1));
  EXPECT_EQ(pool.match(Tokens{1}), Tokens{});
  EXPECT_EQ(pool.match(Tokens{2, 1, 3, 4}), Tokens{});
}

TEST(PagePool, SameTokensAfterOthersAreAnotherPage) {
  PagePool pool(8, 2);
  const Tokens a = read(pool, {1, 1, 7, 7}), b = read(pool, {2, 2, 7, 7});
  EXPECT_NE(a[1], b[1]);
  EXPECT_EQ(pool.match(Tokens{2, 2, 7, 7}), b);
  EXPECT_EQ(pool.match(Tokens{7, 7}), Tokens{});
}

TEST(PagePool, TwinsBecomeOnePage) {
  PagePool pool(4, 2);
  const std::int32_t first = pool.take(), second = pool.take();
  const Tokens tokens = {3, 4};
  EXPECT_EQ(pool.publish(PagePool::no_page, first, tokens), first);
  EXPECT_EQ(pool.publish(PagePool::no_page, second, tokens), first);
  EXPECT_EQ(pool.available(), 3);
  Tokens one = {first}, other = {first};
  pool.release(one);
  EXPECT_EQ(pool.available(), 3) << "the other still holds it";
  pool.release(other);
  EXPECT_EQ(pool.available(), 4);
}

TEST(PagePool, IdlePagesAreFoundUntilTheyAreNeeded) {
  PagePool pool(4, 2);
  Tokens old = read(pool, {1, 1, 2, 2}), young = read(pool, {5, 5, 6, 6});
  pool.release(old);
  pool.release(young);
  EXPECT_EQ(pool.available(), 4);
  Tokens taken = {pool.take()};  // the end of the run that was used longest ago
  Tokens found = pool.match(Tokens{1, 1, 2, 2});
  EXPECT_EQ(found.size(), 1u);
  pool.release(found);  // used last now
  taken.push_back(pool.take());
  taken.push_back(pool.take());
  EXPECT_EQ(pool.match(Tokens{5, 5}), Tokens{});
  EXPECT_EQ(pool.match(Tokens{1, 1}).size(), 1u);
  EXPECT_EQ(pool.available(), 0);
}

// Random sequences come, grow and go; a map of every page's tokens from the start says what a match may give.
TEST(PagePool, NeverGivesAPageOfOtherTokens) {
  constexpr int page_tokens = 3, count = 24;
  PagePool pool(count, page_tokens);
  std::mt19937 random(5);
  std::map<std::int32_t, Tokens> content;  // of pages as last published: all tokens up to their end
  std::vector<Tokens> live;
  int matched = 0;
  for (int round = 0; round < 20000; ++round) {
    if (!live.empty() && (live.size() == 5 || random() % 3 == 0)) {
      const std::size_t victim = random() % live.size();
      pool.release(live[victim]);
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(victim));
      continue;
    }
    Tokens tokens(random() % 13);
    for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(random() % 2);
    Tokens held = pool.match(tokens);
    matched += static_cast<int>(held.size());
    for (std::size_t i = 0; i < held.size(); ++i)
      ASSERT_EQ(content[held[i]],
                Tokens(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>((i + 1) * page_tokens)));
    while ((held.size() + 1) * page_tokens <= tokens.size() && pool.available() > 0) {
      const std::size_t begin = held.size() * page_tokens;
      const std::int32_t parent = held.empty() ? PagePool::no_page : held.back(), page = pool.take();
      held.push_back(pool.publish(parent, page, std::span(tokens).subspan(begin, page_tokens)));
      content[held.back()] =
          Tokens(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(begin + page_tokens));
    }
    live.push_back(held);
    std::set<std::int32_t> in_use;
    for (const Tokens& pages : live) in_use.insert(pages.begin(), pages.end());
    ASSERT_EQ(pool.available(), count - static_cast<int>(in_use.size()));
  }
  EXPECT_GT(matched, 1000);
}

TEST(PagePool, SnapshotsBelongToPages) {
  PagePool pool(8, 2, 2);
  Tokens run = read(pool, {1, 2, 3, 4, 5, 6});
  const Tokens all = run;
  const int first = pool.add_snapshot(run[0]), second = pool.add_snapshot(run[1]);
  EXPECT_EQ(std::set<int>({first, second}), (std::set<int>{0, 1}));
  EXPECT_EQ(pool.add_snapshot(run[1]), PagePool::no_snapshot) << "it has one";
  EXPECT_EQ(pool.snapshot(all[0]), first);
  EXPECT_EQ(pool.snapshot(all[1]), second);
  EXPECT_EQ(pool.snapshot(all[2]), PagePool::no_snapshot);
  // The one used longest ago gives way.
  std::vector<std::int32_t> left;
  pool.watch({.page = {}, .snapshot = [&](std::int32_t page) { left.push_back(page); }});
  pool.use_snapshot(run[0]);
  EXPECT_EQ(pool.add_snapshot(run[2]), second);
  EXPECT_EQ(left, Tokens{all[1]});
  EXPECT_EQ(pool.snapshot(all[1]), PagePool::no_snapshot);
  // One that moves along.
  EXPECT_EQ(pool.add_snapshot(run[1], run[0]), first);
  EXPECT_EQ(pool.snapshot(all[0]), PagePool::no_snapshot);
  EXPECT_EQ(left.size(), 1u);
}

TEST(PagePool, TellsWhatLeaves) {
  PagePool pool(2, 2);
  Tokens run = read(pool, {1, 2, 3, 4});
  std::vector<Tokens> left;
  pool.watch({.page = [&](std::int32_t page) { left.push_back(pool.prefix(page)); }, .snapshot = {}});
  Tokens tail = run;
  pool.cut(run, 1);
  EXPECT_EQ(run, Tokens{tail[0]});
  EXPECT_EQ(pool.available(), 1);
  EXPECT_EQ(pool.take(), tail[1]);
  EXPECT_EQ(left, std::vector<Tokens>({{1, 2, 3, 4}}));
  EXPECT_FALSE(pool.published(tail[1]));
  EXPECT_TRUE(pool.published(tail[0]));
}

TEST(PagePool, SnapshotsGoWithTheirPages) {
  PagePool pool(3, 1, 2);
  Tokens run = read(pool, {1, 2, 3});
  EXPECT_NE(pool.add_snapshot(run[2]), PagePool::no_snapshot);
  const int kept = pool.add_snapshot(run[0]);
  pool.release(run);
  Tokens other{pool.take()};  // the last page of the run
  EXPECT_NE(pool.add_snapshot(pool.publish(PagePool::no_page, other[0], Tokens{7})), kept);
  EXPECT_EQ(pool.snapshot(pool.match(Tokens{1, 2, 3}).front()), kept);
}

TEST(PagePool, WithoutSnapshots) {
  PagePool pool(3, 1);
  Tokens run = read(pool, {1});
  EXPECT_EQ(pool.add_snapshot(run[0]), PagePool::no_snapshot);
}

}  // namespace
}  // namespace rf
