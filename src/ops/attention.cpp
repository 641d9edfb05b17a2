#include "ops/attention.h"

#include <bit>
#include <cmath>

namespace rf {

double alibi_slope(const Attention& attention, int head) {
  if (attention.alibi <= 0) return 0;
  const auto power = static_cast<int>(std::bit_floor(static_cast<unsigned>(attention.heads)));
  const double alibi = attention.alibi, heads = power;
  return head < power ? std::exp2(-alibi * (head + 1) / heads)
                      : std::exp2(-alibi / 2 * (2 * (head - power) + 1) / heads);
}

double query_temperature(const Attention& attention, int position) {
  if (attention.temperature == 0) return 1;
  const double steps = std::floor((position + attention.temperature_offset) /
                                  static_cast<double>(attention.temperature_length));
  return 1 + attention.temperature * std::log1p(steps);
}

}  // namespace rf
