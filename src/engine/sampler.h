// Sampler: chooses the next token of one sequence from its logits.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace rf {

// Applied in this order, to the tokens that are allowed:
//   1. penalties, on every token among the last penalty_last_n of the history: logits above zero are divided
//   by
//      repetition_penalty, the others multiplied by it (Keskar et al. 2019); then presence_penalty and, for
//      each occurrence, frequency_penalty are subtracted;
//   2. logit_bias is added;
//   3. top_k, top_p (Holtzman et al. 2020) and min_p (Nguyen et al. 2024) cut the tail of the softmax of what
//   the
//      cut before left, at temperature 1; the best token always stays;
//   4. one of the rest is drawn from their softmax at `temperature`.
// At temperature 0 the highest logit after step 2 is taken, the lowest id among equals.
struct SamplerOptions {
  float temperature = 0.8f;         // >= 0
  int top_k = 40;                   // tokens kept; 0 and -1: all
  float top_p = 0.95f;              // 0 to 1; 1: off
  float min_p = 0.05f;              // 0 to 1, of the best token's probability; 0: off
  float repetition_penalty = 1.0f;  // > 0; 1: off
  int penalty_last_n = 64;          // tokens; 0: off, -1: the whole history
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  std::optional<std::uint64_t> seed{};                       // random when absent
  std::vector<std::pair<std::int32_t, float>> logit_bias{};  // token and what to add; -infinity bans it

  // Throws Error naming the field, what is allowed and what was found.
  void check(std::int32_t vocab_size) const;
};

class Sampler {
 public:
  Sampler(SamplerOptions options, std::int32_t vocab_size);  // throws as SamplerOptions::check

  // Goes on as after `samples` calls of sample(), the last of which left `surprise` (below 0: none).
  void resume(std::uint64_t samples, float surprise);
  // Mirostat's estimate of the surprise to allow, all that one sample leaves for the next; below 0: it is
  // off.
  float surprise() const { return surprise_; }

  // `logits`: one for each token of the vocabulary; NaN counts as -infinity, and where all are, the answer is
  // 0. `history`: all tokens so far. About linear in the vocabulary. The same seed and inputs give the same
  // tokens. `allowed`: bit t % 64 of word t / 64 for token t, at least one of them; empty: all are. A token
  // that is not allowed is never the answer.
  std::int32_t sample(std::span<const float> logits, std::span<const std::int32_t> history,
                      std::span<const std::uint64_t> allowed = {});

 private:
  struct Candidate {
    float logit;
    std::int32_t token;
  };

  void ban(std::span<const std::uint64_t> allowed);
  void penalise(std::span<const std::int32_t> history);
  void collect_best(std::size_t count);
  void cut_tail();
  std::int32_t draw();
  double uniform();

  static bool better(const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  }

  SamplerOptions options_;
  std::uint64_t seed_;
  std::uint64_t samples_ = 0;  // before this one: the draw is a function of it and the seed
  float surprise_ = -1.0f;
  std::vector<float> logits_;         // of this step, after penalties and bias; no NaN
  std::vector<std::int32_t> recent_;  // sorted
  std::vector<Candidate> candidates_;
};

}  // namespace rf
