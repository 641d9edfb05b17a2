// The best logits that the device finds are those that sorting all of them gives.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "plan/plan.h"
#include "random_data.h"
#include "simulated.h"

namespace rf::test {
namespace {

constexpr int columns = 4;

// Embeds token t as a unit vector, so that the logits after it are column t of the output matrix.
class Chosen {
 public:
  Chosen(int vocab, std::mt19937& random)
      : embedding_(columns * static_cast<std::size_t>(vocab)),
        output_(columns * static_cast<std::size_t>(vocab)) {
    for (std::size_t t = 0; t < columns; ++t) embedding_[t * columns + t] = 1;
    std::normal_distribution<float> value(0, 5);
    for (std::size_t i = 0; i < static_cast<std::size_t>(vocab); ++i) {
      output_[i * columns] = value(random);                                // all different
      output_[i * columns + 1] = static_cast<float>(random() % 9) - 4.0f;  // many alike
      output_[i * columns + 2] = -std::abs(value(random)) - 1;
      // As many as can come into question: all that 64 of a block's 256 threads have.
      output_[i * columns + 3] = (i % 256 < 64 ? 50.0f : 0.0f) + value(random);
    }
    program_.vocab = vocab;
    program_.slots = {{columns, false}, {vocab, true}};
    program_.logits = 1;
    add(embedding_, vocab);
    add(output_, vocab);
    Step& embed = program_.steps.emplace_back();
    embed.op = Op::embed;
    embed.x = none;
    embed.out = 0;
    embed.linear[0] = {0, none};
    Step& logits = program_.steps.emplace_back();
    logits.op = Op::logits;
    logits.x = 0;
    logits.out = 1;
    logits.linear[0] = {1, none};
    check(program_);
  }
  const Program& program() const { return program_; }

 private:
  void add(const std::vector<float>& values, std::int64_t rows) {
    Tensor tensor;
    tensor.type = Type::f32;
    tensor.shape = {columns, rows, 1, 1};
    tensor.row_bytes = columns * sizeof(float);
    tensor.data = reinterpret_cast<const std::byte*>(values.data());
    program_.weights.push_back({"weight", tensor});
  }
  std::vector<float> embedding_, output_;
  Program program_;
};

TEST(GpuBest, AreThoseOfAll) {
  std::mt19937 random(run_seed());
  for (std::size_t device = 0; device < test_devices().size(); ++device) {
    for (const int vocab : {5, 64, 65, 4096, 4097, 9000}) {
      SCOPED_TRACE(vocab);
      const Chosen model(vocab, random);
      RunLimits limits;
      limits.batch = {.rows = 4, .wanted = 4, .sequences = 1, .pages = 1};
      limits.cache_pages = 1;
      std::vector<std::unique_ptr<Backend>> backends;
      backends.push_back(std::move(test_devices()[device]));
      SCOPED_TRACE(backends[0]->name());
      Plan plan(model.program(), std::move(backends), limits);
      Batch batch(limits.batch);
      const std::array<std::int32_t, 1> pages{0};
      batch.add_sequence(pages);
      for (int i = 0; i < columns; ++i) batch.add_row(i, i, true);
      batch.ask_for_best();
      for (int again = 0; again < 2; ++again) plan.run(batch);
      const std::span<const Candidate> found = plan.best(columns);
      ASSERT_EQ(found.size(), std::size_t{columns} * best_candidates);
      std::vector<Candidate> best(found.begin(), found.end());
      plan.run(batch);
      const std::span<const float> logits = plan.logits(columns);
      for (int row = 0; row < columns; ++row) {
        std::vector<Candidate> all;
        for (int t = 0; t < vocab; ++t) all.push_back({logits[static_cast<std::size_t>(row * vocab + t)], t});
        std::ranges::sort(all, better);
        for (int i = 0; i < best_candidates; ++i) {
          const Candidate& one = best[static_cast<std::size_t>(row * best_candidates + i)];
          if (i >= vocab) {
            EXPECT_EQ(one.token, -1) << row << " " << i;
            continue;
          }
          EXPECT_EQ(one.token, all[static_cast<std::size_t>(i)].token) << row << " " << i;
          EXPECT_EQ(one.logit, all[static_cast<std::size_t>(i)].logit) << row << " " << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace rf::test
