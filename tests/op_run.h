// Runs an op case on a back end and compares it with the oracle's results.
#pragma once
#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include "op_bounds.h"

namespace rf::test {

using Results = std::vector<std::vector<float>>;  // the output slot after each feed, all its rows

// Slots, cache pages and states are poisoned with NaN first: what is not written shows, and what is read
// unwritten.
inline Results run_op(Backend& backend, const OpSetup& setup) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  const Step& step = setup.step();
  const int steps[] = {0};
  backend.load(setup.program, steps, setup.limits, nullptr, nullptr);
  if (cache_of(step) != none) {
    const std::vector<std::byte> page(backend.page_bytes(), std::byte{0xff});
    for (int p = 0; p < setup.limits.cache_pages; ++p) backend.write_page(p, page.data());
  }
  const std::vector<std::byte> state(backend.state_bytes(), std::byte{0xff});
  for (int slot = 0; slot < setup.limits.state_slots && !state.empty(); ++slot)
    backend.write_state(slot, state.data());
  const auto run = backend.prepare(0, 1);
  Results results;
  for (const Feed& feed : setup.feeds) {
    for (std::size_t s = 0; s < setup.program.slots.size(); ++s) {
      const Slot& slot = setup.program.slots[s];
      const int rows = slot.wanted_rows ? setup.limits.batch.wanted : setup.limits.batch.rows;
      const std::vector<float> poison(static_cast<std::size_t>(rows * slot.width), nan);
      backend.write(static_cast<SlotId>(s), rows, poison.data());
    }
    if (step.x != none) backend.write(step.x, feed.batch.rows(), feed.x.data());
    if (step.add != none) backend.write(step.add, feed.batch.rows(), feed.add.data());
    if (step.mul != none) backend.write(step.mul, feed.batch.rows(), feed.mul.data());
    if (step.side != none) backend.write(step.side, feed.batch.rows(), feed.side.data());
    backend.run(*run, feed.batch, {});
    const bool wanted = setup.program.slots[static_cast<std::size_t>(step.out)].wanted_rows;
    const int rows = wanted ? setup.limits.batch.wanted : setup.limits.batch.rows;
    std::vector<float>& out = results.emplace_back(static_cast<std::size_t>(rows) * setup.width(step.out));
    backend.read(step.out, rows, out.data());
  }
  return results;
}

// How the worst element of each feed compares; rows beyond the batch must still be poisoned.
inline void expect_near(const OpSetup& setup, const std::vector<std::vector<double>>& allowed,
                        const Results& expected, const Results& actual) {
  const std::size_t width = setup.width(setup.step().out);
  for (std::size_t f = 0; f < expected.size(); ++f) {
    std::size_t wrong = 0, worst = 0, written = 0;
    double worst_ratio = -1;
    for (std::size_t i = 0; i < expected[f].size(); ++i) {
      if (i >= allowed[f].size()) {
        written += !std::isnan(actual[f][i]);
        continue;
      }
      const double difference =
          std::abs(static_cast<double>(actual[f][i]) - static_cast<double>(expected[f][i]));
      if (difference <= allowed[f][i]) continue;
      ++wrong;
      const double ratio = std::isnan(difference) ? HUGE_VAL : difference / allowed[f][i];
      if (ratio > worst_ratio) worst_ratio = ratio, worst = i;
    }
    EXPECT_EQ(written, 0u) << "elements of rows beyond the batch were written in batch " << f;
    if (wrong > 0)
      ADD_FAILURE() << wrong << " of " << allowed[f].size() << " elements of batch " << f
                    << " are wrong; row " << worst / width << " column " << worst % width << " is "
                    << actual[f][worst] << ", expected " << expected[f][worst] << " within "
                    << allowed[f][worst];
  }
}

inline bool same_bits(const Results& a, const Results& b) {
  for (std::size_t f = 0; f < a.size(); ++f)
    if (std::memcmp(a[f].data(), b[f].data(), a[f].size() * sizeof(float)) != 0) return false;
  return a.size() == b.size();
}

}  // namespace rf::test
