// What bench measures, on an engine that has nothing else to do.
#pragma once
#include <cstdint>
#include <random>
#include <vector>

#include "engine/engine.h"

namespace rf {

struct BenchShape {
  int prompt = 512, decode = 128, depth = 0, batch = 1;
};

// Steps of one operation on one place, over all layers.
struct StepTime {
  Op op;
  int place;  // of the plan's
  Stat stat;
};
struct PhaseSteps {
  std::vector<StepTime> steps;  // slowest first
  Stat total;                   // calls: those of all steps
};

// Random prompts, so that no prefix is ever found in the cache.
class BenchRun {
 public:
  BenchRun(Engine& engine, const BenchShape& shape);

  double prefill();  // seconds that the prompt took, its first token included
  // Seconds per token and stream of `decode` tokens in every stream, each after `depth` tokens of its own.
  double decode();

  // The same with every step timed, which slows them a little.
  PhaseSteps prefill_steps();
  PhaseSteps decode_steps();

 private:
  std::vector<std::int32_t> random_tokens(int count);
  std::uint64_t submit(int prompt, int tokens);
  PhaseSteps steps_since(const std::vector<Stat>& before) const;
  // Runs until all streams have given a token; then `mark`; then until one has given all of its own. Returns
  // the seconds and adds up the tokens after the mark.
  template <class Mark>
  double streams(int& tokens, const Mark& mark);

  Engine& engine_;
  const BenchShape shape_;
  std::mt19937 random_{0};
};

}  // namespace rf
