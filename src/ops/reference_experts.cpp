// The oracle's mixture of experts.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "ops/reference.h"
#include "ops/routing.h"

namespace rf {

using oracle::Matrix;

void Reference::route(const Step& step, const Batch& batch) {
  const Matrix scores = oracle::product(*program_, step.linear[0], input(step, batch));
  std::vector<float> logits(scores.width);
  for (std::size_t r = 0; r < scores.rows(); ++r) {
    std::copy_n(scores.row(r), scores.width, logits.begin());
    choose_experts(step.routing, logits, oracle::floats(*program_, step.routing.bias),
                   oracle::floats(*program_, step.routing.factors), row(step.out, r));
  }
}

void Reference::experts_up(const Step& step, const Batch& batch) {
  const Routing& routing = step.routing;
  const Matrix in = input(step, batch);
  for (std::size_t r = 0; r < in.rows(); ++r)
    for (int k = 0; k < routing.used; ++k) {
      const float* routes = row(step.routes, r);
      const auto expert = static_cast<std::int64_t>(routes[k]);
      Matrix one(1, static_cast<std::int64_t>(in.width));
      const double weight = routing.weigh_input ? routes[routing.used + k] : 1;
      std::transform(in.row(r), in.row(r) + in.width, one.row(0), [&](double x) { return x * weight; });
      const Matrix gate = oracle::product(*program_, step.linear[0], one, expert, routing.experts);
      const bool gated = step.linear[1].weight != none;
      const Matrix up =
          gated ? oracle::product(*program_, step.linear[1], one, expert, routing.experts) : gate;
      float* out = row(step.out, r) + static_cast<std::size_t>(k) * gate.width;
      for (std::size_t i = 0; i < gate.width; ++i)
        out[i] = static_cast<float>(gated ? oracle::gated(step.activation, gate.values[i], up.values[i],
                                                          static_cast<double>(step.clamp))
                                          : oracle::activate(step.activation, gate.values[i]));
    }
}

void Reference::experts_down(const Step& step, const Batch& batch) {
  const Routing& routing = step.routing;
  const Matrix in = input(step, batch);
  const std::size_t in_width = in.width / static_cast<std::size_t>(routing.used);
  Matrix out(in.rows(), static_cast<std::int64_t>(width(step.out)));
  for (std::size_t r = 0; r < in.rows(); ++r)
    for (int k = 0; k < routing.used; ++k) {
      const float* routes = row(step.routes, r);
      Matrix one(1, static_cast<std::int64_t>(in_width));
      std::copy_n(in.row(r) + static_cast<std::size_t>(k) * in_width, in_width, one.row(0));
      const Matrix down = oracle::product(*program_, step.linear[0], one,
                                          static_cast<std::int64_t>(routes[k]), routing.experts);
      const double weight = routing.weigh_input ? 1 : routes[routing.used + k];
      for (std::size_t i = 0; i < out.width; ++i) out.row(r)[i] += weight * down.values[i];
    }
  put_sum(step, out);
}

}  // namespace rf
