// How OpenAI's chat and text completions are written.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "server/generation.h"

namespace rf {

// `usage`: a stream ends with a chunk that has it.
std::unique_ptr<Shape> make_chat_shape(bool usage);
bool usage_wanted(const Fields& fields);  // stream_options.include_usage

Json finish_reason(const Choice& choice);
double finite(float logprob);  // -9999 for minus infinity, which JSON lacks
Json usage_of(const Answer& answer);
Json timings_of(const Answer& answer);  // llama.cpp's names
// A token's text, and its bytes where it is no text by itself.
std::string token_text(const Answer& answer, std::int32_t token);
Json logprob_entry(const Answer& answer, const Piece& piece);

}  // namespace rf
