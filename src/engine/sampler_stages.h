// The stages that samplers are put together from: each changes a list of candidates that is sorted best
// first.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

#include "ops/candidate.h"

namespace rf {

using Candidates = std::vector<Candidate>;  // best first, never made empty

// exp of what a logit lies below `highest`, which may be infinite, times `sharpness`.
inline double weight_of(float logit, float highest, double sharpness = 1.0) {
  if (logit == highest) return 1.0;
  return std::exp((static_cast<double>(logit) - static_cast<double>(highest)) * sharpness);
}

std::vector<double> probabilities(const Candidates& candidates);  // their softmax, in their order

// Keeps the best up to where they reach `top_p` of `total` weights exp(logit - best), and of those the ones
// of at least `min_p` times the best one's weight. Returns false where the list ended before either cut it.
bool cut_tail(Candidates& candidates, double total, double top_p, double min_p);
double total_weight(const Candidates& candidates);

// Keeps those at most `sigmas` standard deviations of all logits below the best (Tang et al. 2024, Top-nσ).
void cut_sigma(Candidates& candidates, double sigmas);
// Keeps those whose surprise is nearest to the expected one, up to the probability `mass` (Meister et al.
// 2023).
void cut_atypical(Candidates& candidates, double mass);
// Drops all but the least likely of those of at least `threshold` (Exclude Top Choices, p-e-w 2024).
void exclude_top_choices(Candidates& candidates, double threshold);
// Divides by a temperature; one that follows the entropy between temperature - range and + range where range
// is above 0 (llama.cpp's dynamic temperature). A temperature of 0 keeps the best alone.
void apply_temperature(Candidates& candidates, double temperature, double range, double exponent);
// Keeps what Mirostat (Basu et al. 2021) allows for the surprise `most` in bits: by version 1 a number of
// candidates estimated from Zipf's law over a vocabulary of so many, by version 2 those that are no more
// surprising.
void cut_surprising(Candidates& candidates, int version, double most, std::int32_t vocab_size);

}  // namespace rf
