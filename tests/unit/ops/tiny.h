// Programs of a step or two over weights made in memory.
#pragma once
#include <deque>

#include "ops/backend.h"

namespace rf::test {

struct Tiny {
  Program program;
  std::deque<std::vector<float>> storage;  // does not move what it holds

  SlotId slot(std::int64_t width, bool wanted_rows = false) {
    program.slots.push_back({width, wanted_rows});
    return static_cast<SlotId>(program.slots.size()) - 1;
  }
  // F32, [columns, values / columns].
  WeightId weight(const std::string& name, std::int64_t columns, std::vector<float> values) {
    const std::vector<float>& kept = storage.emplace_back(std::move(values));
    Tensor tensor;
    tensor.shape = {columns, static_cast<std::int64_t>(kept.size()) / columns, 1, 1};
    tensor.row_bytes = static_cast<std::size_t>(columns) * sizeof(float);
    tensor.data = reinterpret_cast<const std::byte*>(kept.data());
    program.weights.push_back({name, tensor});
    return static_cast<WeightId>(program.weights.size()) - 1;
  }
  Step& step(Op op, SlotId x, SlotId out) {
    Step& made = program.steps.emplace_back();
    made.op = op;
    made.x = x;
    made.out = out;
    return made;
  }
};

}  // namespace rf::test
