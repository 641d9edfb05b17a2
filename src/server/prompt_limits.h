// PromptLimits: how long a prompt may be, and how one that is longer is made shorter where that was asked
// for.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "server/fields.h"

namespace rf {

struct PromptLimits {
  int context = 0;     // positions of the model; 0: not known yet
  bool shift = false;  // prompts are made shorter unless a request says otherwise
};

// Whether a request's body asks for it: truncate_prompt, truncation: "auto" (OpenAI's responses), truncate or
// shift (Ollama's). Throws ApiError.
bool asks_to_truncate(const Fields& fields, bool otherwise);

class Truncation {
 public:
  // `answer_tokens`: that the answer may have, -1: as many as there is room for. Room is kept for them, for
  // half of the context at most. n_keep: tokens at the beginning that stay, -1: all. Throws ApiError.
  Truncation(const Fields& fields, const PromptLimits& limits, int answer_tokens);

  // Takes the oldest tokens out, those after the first n_keep and BOS (-1: there is none). Returns how many.
  int cut(std::vector<std::int32_t>& prompt, std::int32_t bos) const;
  // Takes the oldest messages out, after the system's at the beginning, so that a user's message follows: the
  // fewest that do. `encode`: the prompt of messages. Sets `prompt`, which is that of all `messages` before.
  // Returns how many tokens are gone. Throws ApiError where the newest are too long by themselves.
  using Encode = std::function<std::vector<std::int32_t>(const Json& messages)>;
  int cut(const Json& messages, const Encode& encode, std::vector<std::int32_t>& prompt) const;

 private:
  bool fits(const std::vector<std::int32_t>& prompt) const { return most_ < 0 || prompt.size() <= limit(); }
  std::size_t limit() const { return static_cast<std::size_t>(most_); }

  int most_ = -1;  // tokens of the prompt; -1: nothing is cut
  int keep_ = 0;
  int context_ = 0;
};

}  // namespace rf
