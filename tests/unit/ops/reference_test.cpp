// The oracle itself, against small sums worked out by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "unit/ops/tiny.h"

namespace rf {
namespace {

using test::Tiny;

// Runs every step of `t` on rows of `in` written to slot 0, at positions 0, 1, ...; returns slot `out`.
std::vector<float> run(const Tiny& t, const std::vector<float>& in, SlotId out, KvType kv = KvType::f32,
                       const std::vector<int>& wanted = {}) {
  const auto width = static_cast<std::size_t>(t.program.slots[0].width);
  const int rows = static_cast<int>(in.size() / width);
  const RunLimits limits{.batch = {.rows = rows, .wanted = rows, .sequences = 1, .pages = rows},
                         .kv = kv,
                         .page_tokens = 2,
                         .cache_pages = rows};
  std::vector<int> steps;
  for (std::size_t i = 0; i < t.program.steps.size(); ++i) steps.push_back(static_cast<int>(i));
  const std::unique_ptr<Backend> reference = make_reference();
  reference->load(t.program, steps, limits, nullptr, nullptr);
  reference->write(0, rows, in.data());
  Batch batch(limits.batch);
  std::vector<std::int32_t> table;
  for (int page = rows; page-- > 0;) table.push_back(page);
  batch.add_sequence(table);
  for (int r = 0; r < rows; ++r)
    batch.add_row(0, r, std::find(wanted.begin(), wanted.end(), r) != wanted.end());
  const std::unique_ptr<Run> all = reference->prepare(0, static_cast<int>(steps.size()));
  std::vector<Stat> stats(steps.size());
  reference->run(*all, batch, stats);
  for (const Stat& stat : stats) EXPECT_EQ(stat.calls, 1u);
  const int got = wanted.empty() ? rows : static_cast<int>(wanted.size());
  std::vector<float> result(static_cast<std::size_t>(got) *
                            static_cast<std::size_t>(t.program.slots[static_cast<std::size_t>(out)].width));
  reference->read(out, got, result.data());
  return result;
}

void expect_near(const std::vector<float>& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], expected[i], 1e-6 * (1 + std::abs(expected[i]))) << i;
}

TEST(Reference, MatmulNormsThenAddsBiasAndResidual) {
  Tiny t;
  const SlotId x = t.slot(2), out = t.slot(2);
  Step& step = t.step(Op::matmul, x, out);
  step.norm = {.kind = Norm::Kind::rms, .weight = t.weight("norm", 2, {1, 2})};
  step.linear[0] = {t.weight("w", 2, {10, 1, 0, 1}), t.weight("bias", 2, {100, 0})};
  // The root of the mean square of (3, 4) is 5 / sqrt 2, so that n = (3, 8) sqrt 2 / 5.
  const double first = 100 + 38 * std::sqrt(2) / 5, second = 8 * std::sqrt(2) / 5;
  expect_near(run(t, {3, 4}, out), {first, second});
  step.add = x;
  expect_near(run(t, {3, 4}, out), {first + 3, second + 4});
}

TEST(Reference, GateUp) {
  Tiny t;
  const SlotId x = t.slot(1), out = t.slot(1);
  Step& step = t.step(Op::gate_up, x, out);
  step.linear[0].weight = t.weight("gate", 1, {1});
  step.linear[1] = {t.weight("up", 1, {3}), t.weight("bias", 1, {1})};
  step.activation = Activation::silu;
  expect_near(run(t, {2, -1}, out), {7 * 2 / (1 + std::exp(-2)), -2 * -1 / (1 + std::exp(1))});
  step.activation = Activation::gelu_tanh;
  expect_near(run(t, {2}, out), {7 * 1.9545976940877752});
}

TEST(Reference, LogitsOfWantedRowsOnly) {
  Tiny t;
  const SlotId x = t.slot(1), out = t.slot(2, true);
  t.step(Op::logits, x, out).linear[0].weight = t.weight("w", 1, {1, -1});
  expect_near(run(t, {5, 6, 7}, out, KvType::f32, {0, 2}), {5, -5, 7, -7});
}

// Two query heads over one key head, dims of 1, no rotation: row = q0 q1 k v.
Tiny attention(int window) {
  Tiny t;
  const SlotId x = t.slot(4), out = t.slot(2);
  t.program.caches.push_back({.layer = 0, .kv_heads = 1, .key_dim = 1, .value_dim = 1});
  t.step(Op::attend, x, out).attention = {.heads = 2,
                                          .kv_heads = 1,
                                          .key_dim = 1,
                                          .value_dim = 1,
                                          .scale = 2,
                                          .window = window,
                                          .rope = {},
                                          .cache = 0};
  return t;
}

const std::vector<float> three_rows{1, 0, 0, 10, 1, 0, 1, 20, -1, 0, 2, 60};

TEST(Reference, AttentionIsCausal) {
  const double e2 = std::exp(2), a = std::exp(-2), b = std::exp(-4);
  expect_near(run(attention(0), three_rows, 1),
              {10, 10, (10 + 20 * e2) / (1 + e2), 15, (10 + 20 * a + 60 * b) / (1 + a + b), 30});
}

TEST(Reference, AttentionWindow) {
  const double e2 = std::exp(2), a = std::exp(-2);
  expect_near(run(attention(2), three_rows, 1),
              {10, 10, (10 + 20 * e2) / (1 + e2), 15, (20 + 60 * a) / (1 + a), 40});
}

TEST(Reference, AttentionReadsWhatTheCacheHolds) {
  const std::vector<float> rows{0, 0, 0, 1 + 0x1p-12f};
  EXPECT_EQ(run(attention(0), rows, 1, KvType::f32)[0], 1 + 0x1p-12f);
  EXPECT_EQ(run(attention(0), rows, 1, KvType::f16)[0], 1);
}

// Query heads over one key, dims of 1: row = q of each, k, w of each where it is weighted.
Tiny index(const Selection& selection) {
  Tiny t;
  const SlotId x = t.slot(selection.weighted ? 5 : 3), out = t.slot(selection.width());
  t.program.caches.push_back({.layer = 0, .kv_heads = 1, .key_dim = 1, .key_is_value = true});
  Step& step = t.step(Op::index, x, out);
  step.attention = {
      .heads = 2, .kv_heads = 1, .key_dim = 1, .value_dim = 0, .rope = {}, .key_is_value = true, .cache = 0};
  step.selection = selection;
  return t;
}

TEST(Reference, IndexChoosesTheBestPositions) {
  const Tiny t = index({.blocks = 2, .weighted = true});
  // Scores of the last row: max(k, 0) + max(-k, 0) / 2, that is 1, 1, 3, 1/4.
  EXPECT_EQ(run(t, {5, 5, 1, 1, 1, 5, 5, -2, 1, 1, 0, 0, 3, 1, 1, 1, -1, 0.25f, 1, 0.5f}, 1),
            (std::vector<float>{0, -1, 0, 1, 0, 1, 0, 2}));
  // Those of the last row are negative where a weight is: 0, -2, 0, 0.
  EXPECT_EQ(run(t, {1, 1, 0, 1, 1, 1, 1, 2, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0, -1, 1}, 1),
            (std::vector<float>{0, -1, 0, 1, 0, 1, 0, 2}));
}

TEST(Reference, IndexChoosesBlocksForEachGroup) {
  const Tiny t = index({.blocks = 2, .block = 2, .local = 1, .groups = 2});
  EXPECT_EQ(run(t, {1, 1, 0, 1, 1, 5, 1, 1, 1, 1, 1, -6, 0, 0, 0, 1, -1, 0}, 1),
            (std::vector<float>{0, -1, 0, -1, 0, -1, 0, -1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 2, 0, 2, 0, 2, 1, 2}));
}

// The score of a query at position 1 with a key at position 0, found from the weight that is left for
// position 1 itself, whose key is zero.
double score_at_one(Rope::Pairs pairs, const std::vector<float>& query, const std::vector<float>& key) {
  Tiny t;
  const SlotId x = t.slot(9), out = t.slot(1);
  t.program.caches.push_back({.layer = 0, .kv_heads = 1, .key_dim = 4, .value_dim = 1});
  Step& step = t.step(Op::attend, x, out);
  step.attention = {
      .heads = 1, .kv_heads = 1, .key_dim = 4, .value_dim = 1, .scale = 1, .rope = {}, .cache = 0};
  step.attention.rope = {.pairs = pairs, .dims = 4, .base = 100};
  std::vector<float> rows(18, 0.f);
  std::copy(key.begin(), key.end(), rows.begin() + 4);  // at position 0, value 0
  std::copy(query.begin(), query.end(), rows.begin() + 9);
  rows[17] = 1;                           // the value at position 1
  const double p = run(t, rows, out)[1];  // = 1 / (exp(score) + 1)
  return std::log(1 / p - 1);
}

TEST(Reference, RotationPairs) {
  // Position 1 turns the first pair by 1 radian and the second by base^(-1/2) = 0.1.
  EXPECT_NEAR(score_at_one(Rope::Pairs::adjacent, {1, 0, 0, 0}, {0, 1, 0, 0}), std::sin(1), 1e-5);
  EXPECT_NEAR(score_at_one(Rope::Pairs::adjacent, {0, 0, 1, 0}, {0, 0, 0, 1}), std::sin(0.1), 1e-5);
  EXPECT_NEAR(score_at_one(Rope::Pairs::adjacent, {1, 0, 0, 0}, {0, 0, 1, 0}), 0, 1e-5);
  EXPECT_NEAR(score_at_one(Rope::Pairs::halves, {1, 0, 0, 0}, {0, 0, 1, 0}), std::sin(1), 1e-5);
  EXPECT_NEAR(score_at_one(Rope::Pairs::halves, {0, 1, 0, 0}, {0, 0, 0, 1}), std::sin(0.1), 1e-5);
  EXPECT_NEAR(score_at_one(Rope::Pairs::halves, {0, 1, 0, 0}, {0, 1, 0, 0}), std::cos(0.1), 1e-5);
}

TEST(Reference, PagesSurviveARoundTrip) {
  const Tiny t = attention(0);
  const std::vector<int> steps{0};
  const RunLimits limits{.batch = {.rows = 4, .wanted = 4, .sequences = 1, .pages = 2},
                         .kv = KvType::f32,
                         .page_tokens = 2,
                         .cache_pages = 3};
  const std::unique_ptr<Backend> reference = make_reference();
  reference->load(t.program, steps, limits, nullptr, nullptr);
  EXPECT_EQ(reference->need(t.program, steps, limits).cache, 3 * reference->page_bytes());
  const std::unique_ptr<rf::Run> all = reference->prepare(0, 1);
  const auto last_row = [&](const std::vector<std::int32_t>& pages) {
    Batch batch(limits.batch);
    batch.add_sequence(pages);
    batch.add_row(0, 2, false);
    reference->write(0, 1, three_rows.data() + 8);
    reference->run(*all, batch, {});
    return std::vector<float>(reference->host(1), reference->host(1) + 2);
  };
  Batch batch(limits.batch);
  batch.add_sequence(std::vector<std::int32_t>{0, 1});
  for (int p = 0; p < 2; ++p) batch.add_row(0, p, false);
  reference->write(0, 2, three_rows.data());
  reference->run(*all, batch, {});
  const std::vector<float> expected = last_row({0, 1});
  std::vector<std::byte> page(reference->page_bytes());
  reference->read_page(0, page.data());
  EXPECT_NE(last_row({2, 1}), expected);
  reference->write_page(2, page.data());
  EXPECT_EQ(last_row({2, 1}), expected);
}

}  // namespace
}  // namespace rf
