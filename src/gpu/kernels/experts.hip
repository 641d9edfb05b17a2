// Steps whose rows go through one matrix of many.
//
// rf_route       grid (rows), block 32, LDS 12 KB: reads a row's logits, writes 2 * used floats.
// rf_group       grid 1, block 256, LDS 20 KB: reads the chosen experts twice, writes 4 bytes a pair.
// rf_heads_rest  grid (rows), block 256: reads and writes what is copied.
#include "gpu/kernels/norm.h"

namespace rf::gpu {

inline constexpr float minus_infinity = -__builtin_inff();

struct Highest {
  float value;
  int index;
};
// The largest of all lanes' (of 32), ties going to the lower index.
RF_DEVICE Highest best_of_lanes(Highest b) {
  for (int m = 1; m < 32; m *= 2) {
    const Highest other{lane::shuffle_xor(b.value, m), lane::shuffle_xor(b.index, m)};
    if (other.value > b.value || (other.value == b.value && other.index < b.index)) b = other;
  }
  return b;
}
RF_DEVICE Highest best_of(const float* values, int n) {
  Highest b{minus_infinity, n};
  for (int i = lane::thread(); i < n; i += 32)
    if (values[i] > b.value || (values[i] == b.value && i < b.index)) b = {values[i], i};
  return best_of_lanes(b);
}

// Puts the scores of all but the best groups out of reach.
RF_DEVICE void keep_best_groups(const RouteParams& p, float* scores, float* groups) {
  const int size = p.experts / p.groups;
  for (int g = lane::thread(); g < p.groups; g += 32) {
    float first = minus_infinity, second = minus_infinity;
    for (int e = size * g; e < size * (g + 1); ++e) {
      const float s = scores[e];
      if (s > first)
        second = first, first = s;
      else if (s > second)
        second = s;
    }
    groups[g] = p.bias != nullptr && size > 1 ? first + second : first;
  }
  lane::barrier();
  for (int i = 0; i < p.groups_used; ++i) {
    const Highest best = best_of(groups, p.groups);
    lane::barrier();
    if (lane::thread() == 0) groups[best.index] = __builtin_nanf("");  // kept: no longer compares
    lane::barrier();
  }
  for (int e = lane::thread(); e < p.experts; e += 32)
    if (groups[e / size] == groups[e / size]) scores[e] = minus_infinity;
  lane::barrier();
}

// One expert after the other, each weighed by the softmax over those left whose score comes near the best
// one's (arXiv:2409.12136). `left`: LDS, as large as logits.
RF_DEVICE void mix_sparsely(const RouteParams& p, const float* logits, float* left, float* out) {
  for (int e = lane::thread(); e < p.experts; e += 32) left[e] = logits[e];
  lane::barrier();
  for (int k = 0; k < p.used; ++k) {
    const Highest best = best_of(left, p.experts);
    float sum = 0;
    for (int e = lane::thread(); e < p.experts; e += 32) {
      const float magnitude = logits[e] < 0 ? -logits[e] : logits[e];
      const float near = 0.02f * (magnitude > best.value ? magnitude : best.value);
      if (best.value - left[e] <= near) sum += lane::exp(left[e] - best.value);
    }
    sum = lane::sum_of_lanes(sum, 32);
    lane::barrier();
    if (lane::thread() == 0) {
      left[best.index] = minus_infinity;
      out[k] = static_cast<float>(best.index);
      out[p.used + k] = 1.0f / sum;
    }
    lane::barrier();
  }
}

RF_KERNEL(rf_route, RouteParams, 32, 2) {
  RF_SHARED(float, probabilities, most_experts);
  RF_SHARED(float, scores, most_experts);
  RF_SHARED(float, groups, most_experts);
  const int row = lane::block_x(), thread = lane::thread();
  lane::wait_for_previous();
  lane::let_next_start();
  if (row >= rows_of(p.count)) return;
  const float* logits = p.logits + std::int64_t{row} * p.experts;
  float* out = p.routes + std::int64_t{row} * 2 * p.used;
  if (p.gating == 3) return mix_sparsely(p, logits, scores, out);
  float top = minus_infinity;
  for (int e = thread; e < p.experts; e += 32) {
    const float x = logits[e] * p.logit_scale;
    top = x > top ? x : top;
  }
  top = lane::largest_of_lanes(top, 32);
  float sum = 0;
  for (int e = thread; e < p.experts; e += 32) sum += lane::exp(logits[e] * p.logit_scale - top);
  sum = lane::sum_of_lanes(sum, 32);
  for (int e = thread; e < p.experts; e += 32) {
    const float x = logits[e] * p.logit_scale;
    probabilities[e] = p.gating == 0 ? lane::exp(x - top) / sum : p.gating == 1 ? lane::sigmoid(x) : x;
    scores[e] = probabilities[e] + (p.bias != nullptr ? p.bias[e] : 0.0f);
  }
  lane::barrier();
  if (p.groups_used < p.groups) keep_best_groups(p, scores, groups);

  for (int k = 0; k < p.used; ++k) {
    const Highest best = best_of(scores, p.experts);
    lane::barrier();
    if (thread == 0) {
      scores[best.index] = __builtin_nanf("");
      out[k] = static_cast<float>(best.index);
      groups[k] = probabilities[best.index];
    }
    lane::barrier();
  }
  if (thread != 0) return;
  float total = 0;
  if (p.gating == 2)
    for (int k = p.used - 1; k >= 0; --k) groups[k] = lane::exp(groups[k] - groups[0]);
  for (int k = 0; k < p.used; ++k) total += groups[k];
  const float least = total > 0x1p-100f ? total : 0x1p-100f;
  for (int k = 0; k < p.used; ++k) {
    const float weight = (p.gating == 2 || p.normalise != 0 ? groups[k] / least : groups[k]) * p.scale;
    out[p.used + k] = p.factors != nullptr ? weight * p.factors[static_cast<int>(out[k])] : weight;
  }
}

inline constexpr int segment = 8192;  // pairs that are looked at together

// each(pair, expert) for the pairs of thread's experts, in order.
template <class Each>
RF_DEVICE void each_pair(const GroupParams& p, int pairs, std::uint16_t* experts, int expert, Each each) {
  for (int first = 0; first < pairs; first += segment) {
    const int end = pairs - first < segment ? pairs - first : segment;
    lane::barrier();
    for (int i = lane::thread(); i < end; i += 256) {
      const int pair = first + i;
      experts[i] = static_cast<std::uint16_t>(p.routes[pair / p.used * 2 * p.used + pair % p.used]);
    }
    lane::barrier();
    for (int i = 0; i < end; ++i)
      if (experts[i] == expert) each(first + i);
  }
}

RF_KERNEL(rf_group, GroupParams, 256, 2) {
  RF_SHARED(std::uint16_t, experts, segment);
  RF_SHARED(int, counts, most_experts);
  lane::wait_for_previous();
  lane::let_next_start();
  const int pairs = rows_of(p.count) * p.used;
  for (int first = 0; first < p.experts; first += 256) {
    int count = 0;
    each_pair(p, pairs, experts, first + lane::thread(), [&](int) { ++count; });
    if (first + lane::thread() < p.experts) counts[first + lane::thread()] = count;
  }
  lane::barrier();
  for (int first = 0; first < p.experts; first += 256) {
    const int expert = first + lane::thread();
    int at = 0;
    for (int e = 0; e < expert && e < p.experts; ++e) at += counts[e];
    if (expert < p.experts) p.starts[expert] = at;
    each_pair(p, pairs, experts, expert, [&](int pair) { p.order[at++] = pair; });
  }
  if (lane::thread() == 0) p.starts[p.experts] = pairs;
}

RF_KERNEL(rf_heads_rest, HeadsRestParams, 256, 2) {
  const int row = lane::block_x();
  lane::wait_for_previous();
  lane::let_next_start();
  if (row >= rows_of(p.count)) return;
  for (int i = lane::thread(); i < p.heads * p.rest; i += 256) {
    const int head = i / p.rest, k = i % p.rest;
    p.out[row * p.out_stride + head * (p.made + p.rest) + p.made + k] =
        p.x[row * p.x_stride + head * (p.columns + p.rest) + p.columns + k];
  }
}

}  // namespace rf::gpu
