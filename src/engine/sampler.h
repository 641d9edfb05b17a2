// Sampler: chooses the next token of one sequence from its logits.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/dry.h"
#include "engine/sampler_stages.h"

namespace rf {

// What changes the distribution after penalties and bias, in the order in which it is told to.
enum class SamplerStage : std::uint8_t { top_n_sigma, top_k, typical_p, top_p, min_p, xtc, temperature };

// Applied in this order, to the tokens that are allowed:
//   1. penalties, on every token among the last penalty_last_n of the history: logits above zero are divided
//   by
//      repetition_penalty, the others multiplied by it (Keskar et al. 2019); then presence_penalty and, for
//      each occurrence, frequency_penalty are subtracted; and DRY's penalties;
//   2. logit_bias is added;
//   3. the stages in their `order`: top_k, top_p (Holtzman et al. 2020) and min_p (Nguyen et al. 2024) cut
//   the tail of
//      the softmax of what was left before, the others are in sampler_stages.h; the best token always stays,
//      but for xtc. With Mirostat only the temperature and Mirostat itself;
//   4. one of the rest is drawn.
// At temperature 0, with no range about it and no Mirostat, the highest logit after step 2 is taken, the
// lowest id among equals.
struct SamplerOptions {
  float temperature = 0.8f;         // >= 0
  int top_k = 40;                   // tokens kept; 0 and -1: all
  float top_p = 0.95f;              // 0 to 1; 1: off
  float min_p = 0.05f;              // 0 to 1, of the best token's probability; 0: off
  float repetition_penalty = 1.0f;  // > 0; 1: off
  int penalty_last_n = 64;          // tokens; 0: off, -1: the whole history
  float typical_p = 1.0f;           // 0 to 1; 1: off
  float top_n_sigma = -1.0f;        // standard deviations below the best logit; 0 and less: off
  float xtc_probability = 0.0f;     // 0 to 1, of using xtc for a token
  float xtc_threshold = 0.1f;       // 0 to 1, a probability; above 0.5: off
  float dynamic_range = 0.0f;       // of the temperature, to both sides; 0: off
  float dynamic_exponent = 1.0f;
  int mirostat = 0;                                // its version, 1 or 2; 0: off
  float mirostat_tau = 5.0f, mirostat_eta = 0.1f;  // the surprise it aims at, bits; its rate of learning
  DryOptions dry{};
  std::vector<std::string> dry_breakers{"\n", ":", "\"",
                                        "*"};  // a repetition ends at a token with one of these
  using Stage = SamplerStage;
  std::vector<Stage> order{Stage::top_n_sigma, Stage::top_k, Stage::typical_p,  Stage::top_p,
                           Stage::min_p,       Stage::xtc,   Stage::temperature};  // what is not there is off
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

  // Whether DRY lets no repetition go on across a token.
  void set_breaks(std::function<bool(std::int32_t)> breaks) { breaks_ = std::move(breaks); }
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

  // Whether the best_candidates best logits decide as all of them do, with sample_best(): the same answers.
  bool best_will_do() const;
  std::int32_t sample_best(std::span<const Candidate> best);

 private:
  bool is_greedy() const;
  void ban(std::span<const std::uint64_t> allowed);
  void penalise(std::span<const std::int32_t> history);
  void collect_best(std::size_t count);
  bool is_plain() const;  // the order is the usual one, and only its cuts are on
  void cut();
  void run_stages();
  void run(SamplerStage stage);
  std::int32_t draw(double temperature);
  double uniform(std::uint64_t stream) const;  // independent ones

  SamplerOptions options_;
  std::function<bool(std::int32_t)> breaks_;
  std::uint64_t seed_;
  std::uint64_t samples_ = 0;  // before this one: the draw is a function of it and the seed
  float surprise_ = -1.0f;
  std::vector<float> logits_;         // of this step, after penalties and bias; no NaN
  std::vector<std::int32_t> recent_;  // sorted
  Candidates candidates_;
};

}  // namespace rf
