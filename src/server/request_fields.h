// The fields that several APIs share: how to sample, when to stop, what the answer must be, and what was said
// before.
#pragma once
#include <string>

#include "server/fields.h"
#include "server/generation.h"
#include "server/prompt_limits.h"

namespace rf {

inline constexpr std::size_t most_stops = 16, most_stop_bytes = 1024, most_bias = 1024;

// The sampling fields of OpenAI's API, and llama.cpp's names for the others.
void read_sampling(const Fields& fields, Request& request);
void read_stop(const Fields& fields, const char* name, Request& request);
// response_format, and the fields grammar, json_schema, regex and choice.
void read_constraint(const Fields& fields, Generation& generation);
void read_max_tokens(const Fields& fields, const char* name, Request& request);
// stream, n, return_progress and such.
void read_delivery(const Fields& fields, Generation& generation, bool stream_default);

// Messages of OpenAI's API as templates take them: contents that are lists of texts become one text. Throws
// ApiError for what a model of text cannot take.
Json read_messages(const Fields& fields, const char* name);
void refuse_images(const Fields& fields);  // those in a field of their own
// The tools that the model may call, an array in OpenAI's form, or null.
Json read_tools(const Fields& fields);
// Shortens the generation's prompts of plain tokens where that is asked for and they are too long.
void cut_prompts(const ModelText& text, const Fields& fields, const PromptLimits& limits,
                 Generation& generation);
// Ids of the vocabulary, from an array of numbers that stands in `field`.
std::vector<std::int32_t> read_tokens(const ModelText& text, const std::string& field, const Json& list);
// The prompt that the model's template makes of the messages; what the template refuses is an ApiError of
// `messages`.
std::string chat_text(const ModelText& text, const Fields& fields, const Json& messages, const Json& tools);
// Sets the generation's prompt, shortened where that is asked for and it is too long, and how its reply is
// parsed. Its max_tokens must have been read.
void read_chat(const ModelText& text, const Fields& fields, const Json& messages, const Json& tools,
               const PromptLimits& limits, Generation& generation);

}  // namespace rf
