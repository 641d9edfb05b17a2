#include "plan/observe.h"

#include <algorithm>
#include <vector>

#include "ops/reference_math.h"

namespace rf {
namespace {

using Row = std::span<const float>;

// The input row as the step's weights see it.
void normalise(const Program& program, const Norm& norm, Row x, std::vector<float>& out) {
  std::vector<double> exact(x.begin(), x.end());
  oracle::normalise(program, norm, exact.data(), exact.size());
  out.assign(exact.begin(), exact.end());
}

// The weights that the step multiplies its input with, of slices of one tensor the first.
std::vector<WeightId> multiplied(const Program& program, const Step& step) {
  std::vector<WeightId> ids;
  const auto name = [&](WeightId id) { return program.weights[static_cast<std::size_t>(id)].name; };
  for (int i = 0; i < linear_count(step.op); ++i) {
    const WeightId id = step.linear[i].weight;
    if (id == none) continue;
    if (std::none_of(ids.begin(), ids.end(), [&](WeightId other) { return name(other) == name(id); }))
      ids.push_back(id);
  }
  return ids;
}

void observe_heads(const Program& program, const Step& step, Row x, const Observer& observer) {
  const auto heads = static_cast<std::size_t>(step.heads), width = x.size() / heads;
  const auto columns = static_cast<std::size_t>(program.tensor(step.linear[0].weight).columns());
  for (std::size_t h = 0; h < heads; ++h)
    observer(step.linear[0].weight, static_cast<std::int64_t>(h), step.heads, x.subspan(h * width, columns));
}

// Every expert that the row goes to sees it, of experts_down its own part of it.
void observe_experts(const Step& step, std::span<const WeightId> ids, Row x, const float* routes,
                     const Observer& observer) {
  const Routing& routing = step.routing;
  const auto used = static_cast<std::size_t>(routing.used);
  std::vector<float> weighted;
  for (std::size_t k = 0; k < used; ++k) {
    Row part = step.op == Op::experts_down ? x.subspan(k * (x.size() / used), x.size() / used) : x;
    if (step.op == Op::experts_up && routing.weigh_input) {
      weighted.assign(x.begin(), x.end());
      for (float& value : weighted) value *= routes[used + k];
      part = weighted;
    }
    for (const WeightId id : ids) observer(id, static_cast<std::int64_t>(routes[k]), routing.experts, part);
  }
}

}  // namespace

void observe_step(const Program& program, const Step& step, const Batch& batch, const float* x,
                  const float* routes, const Observer& observer) {
  const std::vector<WeightId> ids =
      step.op == Op::embed || step.op == Op::row ? std::vector<WeightId>() : multiplied(program, step);
  if (ids.empty()) return;
  const auto width = static_cast<std::size_t>(program.slots[static_cast<std::size_t>(step.x)].width);
  const int rows = step.op == Op::logits ? batch.wanted() : batch.rows();
  std::vector<float> row;
  for (int r = 0; r < rows; ++r) {
    const auto from = static_cast<std::size_t>(step.op == Op::logits ? batch.wanted_row(r) : r);
    const std::size_t read = step.x_columns != 0 ? static_cast<std::size_t>(step.x_columns) : width;
    normalise(program, step.norm, {x + from * width + step.x_column, read}, row);
    if (step.op == Op::heads) {
      observe_heads(program, step, row, observer);
    } else if (step.op == Op::experts_up || step.op == Op::experts_down) {
      const auto routed =
          static_cast<std::size_t>(program.slots[static_cast<std::size_t>(step.routes)].width);
      observe_experts(step, ids, row, routes + from * routed, observer);
    } else {
      for (const WeightId id : ids) observer(id, 0, 1, row);
    }
  }
}

}  // namespace rf
