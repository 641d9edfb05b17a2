// The oracle's arithmetic, written plainly in double precision.
#pragma once
#include <cstddef>
#include <vector>

#include "ops/program.h"

namespace rf::oracle {

// Rows of doubles, [rows, width].
struct Matrix {
  Matrix(std::size_t row_count, std::int64_t row_width)
      : width(static_cast<std::size_t>(row_width)), values(row_count * width) {}
  double* row(std::size_t r) { return values.data() + r * width; }
  const double* row(std::size_t r) const { return values.data() + r * width; }
  std::size_t rows() const { return values.size() / width; }

  std::size_t width;
  std::vector<double> values;
};

// An f32 vector of weights, or nullptr for none.
const float* floats(const Program& program, WeightId id);

// Normalises x[n] in place. `skip`: of the norm's weights, for those that serve all heads one after the
// other.
void normalise(const Program& program, const Norm& norm, double* x, std::size_t n, std::size_t skip = 0);

// W in + bias for every row of `in`, W being matrix `which` of `count` of the same shape.
Matrix product(const Program& program, const Linear& linear, const Matrix& in, std::int64_t which = 0,
               std::int64_t count = 1);

double activate(Activation activation, double x, const Xielu& xielu = {});
double gated(Activation activation, double gate, double up, double clamp = 0);
double softplus(double x);

// Turns one head in place; `frequencies` are rope_frequencies().
void rotate(const Rope& rope, const std::vector<float>& frequencies, int position, double* head);

// Replaces scores by exp(score) / (sum over all of them of the same + exp(extra)).
void softmax(std::vector<double>& scores, double extra);

}  // namespace rf::oracle
