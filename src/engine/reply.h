// Reply: turns the logits of one request into tokens, the tokens into text, and knows when it is over.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/sampler.h"
#include "engine/stop.h"
#include "text/tokenizer.h"

namespace rf {

class Reply {
 public:
  // `most`: tokens that fit the context after the prompt. Throws Error naming the field of `request` that is
  // out of range. `tokenizer` must outlive it.
  Reply(const Request& request, const Tokenizer& tokenizer, int most);

  // The answer already has `given`, the rest of whose text was told before: goes on after it. Throws Error
  // where the request does not allow these tokens.
  void resume(std::span<const std::int32_t> given, float surprise);

  bool constrained() const { return matcher_ != nullptr; }
  // Finds out what the next token may be, where that is constrained: to be called before next(), from any one
  // thread.
  void prepare();
  // How long that will take, as the last times did; at first nobody knows.
  std::int64_t expected_ns() const { return expected_ns_; }

  // Chooses the next token from `logits` (f32 [vocab]); `history`: all tokens so far. Sets the token, the
  // text that became safe to show, and the finish; of a reply that may have no token just the finish.
  void next(std::span<const float> logits, std::span<const std::int32_t> history, Event& event);
  // Whether the best candidates decide as well.
  bool best_will_do() const { return !constrained() && logprobs_ < 0 && sampler_.best_will_do(); }
  void next_of_best(std::span<const Candidate> best, Event& event);
  // What `logits` say of `token`, which stands at `position` of the prompt.
  PromptLogprob logprob_of(std::span<const float> logits, std::int32_t token, int position) const;
  // The text still held back, when the reply is cut off.
  std::string rest();

 private:
  void tell(Event& event);  // what its token means
  const Tokenizer& tokenizer_;
  Sampler sampler_;
  StopMatcher stops_;
  Detokenizer text_;
  std::shared_ptr<const TokenConstraint> constraint_;
  std::unique_ptr<TokenMatcher> matcher_;  // none: any text
  std::vector<std::uint64_t> allowed_;     // a bit for each token; empty: all
  std::int64_t expected_ns_ = 1'000'000;   // of prepare()
  bool ignore_eos_;
  int logprobs_;
  int left_;  // tokens it may still give
};

}  // namespace rf
