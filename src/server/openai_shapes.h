// How OpenAI's chat and text completions are written.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "server/generation.h"

namespace rf {

// `usage`: a stream ends with a chunk that has it.
std::unique_ptr<Shape> make_chat_shape(bool usage);
// `echoes`: the prompts' texts, to be told before their answers; none: they are not.
std::unique_ptr<Shape> make_completion_shape(bool usage, std::vector<std::string> echoes);

Json usage_of(const Answer& answer);
Json timings_of(const Answer& answer);  // llama.cpp's names
// A token's text, and its bytes where it is no text by itself.
std::string token_text(const Answer& answer, std::int32_t token);
Json logprob_entry(const Answer& answer, const Piece& piece);

// The prompt for what stands between two texts. Throws ApiError where the model has no tokens for that.
std::vector<std::int32_t> fill_in_prompt(const ModelText& text, const std::string& before,
                                         const std::string& after);

}  // namespace rf
