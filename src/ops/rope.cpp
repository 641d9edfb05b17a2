#include "ops/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace rf {
namespace {

// The pair index, as a real number, that turns `rotations` times over the trained context.
double pair_of_rotations(const Rope& rope, double rotations) {
  return rope.dims * std::log(rope.yarn_original / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(static_cast<double>(rope.base)));
}

// YaRN's ramp over pairs: 0 for fast pairs, which keep their frequency, to 1 for slow ones, which are
// stretched by the whole factor.
class Ramp {
 public:
  explicit Ramp(const Rope& rope)
      : low_(std::max(std::floor(pair_of_rotations(rope, rope.yarn_beta_fast)), 0.0)),
        high_(std::min(std::ceil(pair_of_rotations(rope, rope.yarn_beta_slow)), rope.dims - 1.0)) {}
  double operator()(int pair) const {
    return std::clamp((pair - low_) / std::max(high_ - low_, 0.001), 0.0, 1.0);
  }

 private:
  double low_, high_;
};

}  // namespace

std::vector<float> rope_frequencies(const Rope& rope, const float* factors) {
  std::vector<float> frequencies(static_cast<std::size_t>(rope.dims / 2));
  const bool yarn = rope.yarn_factor > 0;
  const Ramp ramp(rope);  // meaningful with yarn only
  for (int i = 0; i < rope.dims / 2; ++i) {
    double frequency = std::pow(static_cast<double>(rope.base), -2.0 * i / rope.dims) * rope.scale;
    if (factors != nullptr) frequency /= factors[i];
    if (yarn) frequency *= 1 - ramp(i) + ramp(i) / rope.yarn_factor;
    frequencies[static_cast<std::size_t>(i)] = static_cast<float>(frequency);
  }
  return frequencies;
}

}  // namespace rf
