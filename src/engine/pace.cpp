#include "engine/pace.h"

#include <algorithm>
#include <cmath>

namespace rf {
namespace {

constexpr int look_again = 16;   // mixed steps
constexpr int few_rows = 4;      // where nothing is known
constexpr int most_made_up = 8;  // steps without prompts in a row: the machine may have been busy otherwise
constexpr double most = 0.7;     // of the time for prompts that is spent on the average
constexpr double aim = 0.65;     // and in one step: they scatter, and the deeper a row the dearer it is
constexpr double weight = 0.25;  // of the newest step

void learn(double& known, double seen, double part = weight) {
  known = known == 0 ? seen : (1 - part) * known + part * seen;
}

}  // namespace

void Pace::note(std::int64_t step_ns, int decoding, int prompts) {
  const auto ns = static_cast<double>(step_ns);
  if (decoding == 0) {
    if (prompts > 0) learn(alone_row_ns_, ns / prompts);
    return;
  }
  if (prompts > 0) {
    ++since_look_;
    // Not below what a row costs where many share the weights' way: else a slow look at decoding would open
    // the gates.
    const double least = std::max(alone_row_ns_ / 2, 1.0);
    if (decode_ns_ > 0 && decoding == decoding_) {
      learn(prompt_row_ns_, std::max((ns - decode_ns_) / prompts, least));
      debt_ns_ = std::clamp(debt_ns_ + ns - decode_ns_ - most * spare_ns(), 0.0, most_made_up * spare_ns());
    }
    if (decoding != decoding_) since_look_ = look_again;
    return;
  }
  if (decoding != decoding_) decode_ns_ = 0;
  // Slower ones are believed slowly: a step that follows one with prompts finds little in the caches, and
  // what else the machine does only ever delays.
  learn(decode_ns_, ns, ns < decode_ns_ ? 2 * weight : weight / 2);
  debt_ns_ = std::max(0.0, debt_ns_ - most * spare_ns());
  decoding_ = decoding;
  since_look_ = 0;
}

double Pace::spare_ns() const {
  return (gap_ - 1) * decode_ns_;
}

int Pace::prompt_rows() const {
  if (decode_ns_ == 0 || since_look_ >= look_again || debt_ns_ > 0) return 0;
  // Beside few rows a row costs more than among many.
  const double row_ns = prompt_row_ns_ > 0 ? prompt_row_ns_ : 2 * alone_row_ns_;
  if (row_ns == 0) return std::min(few_rows, most_rows_);
  // To the nearest: less would never find out that more of them cost less each.
  const double rows = std::round(aim * spare_ns() / row_ns);
  return static_cast<int>(std::clamp(rows, 1.0, static_cast<double>(most_rows_)));
}

}  // namespace rf
