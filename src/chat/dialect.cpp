#include "chat/dialect.h"

#include <algorithm>
#include <array>

#include "chat/dialect/text_parser.h"

namespace rf {
namespace {

using Body = CallFormat::Body;

constexpr CallFormat no_calls{.name = "none"};
constexpr CallFormat harmony{.name = "harmony", .body = Body::channels};
constexpr CallFormat kimi{.name = "kimi-k2",
                          .body = Body::named_json,
                          .section_open = "<|tool_calls_section_begin|>",
                          .section_close = "<|tool_calls_section_end|>",
                          .open = "<|tool_call_begin|>",
                          .close = "<|tool_call_end|>",
                          .name_end = "<|tool_call_argument_begin|>",
                          .name_prefix = "functions.",
                          .name_is_id = true};
constexpr CallFormat deepseek_r1{.name = "deepseek-r1",
                                 .body = Body::named_json,
                                 .section_open = "<｜tool▁calls▁begin｜>",
                                 .section_close = "<｜tool▁calls▁end｜>",
                                 .open = "<｜tool▁call▁begin｜>",
                                 .close = "<｜tool▁call▁end｜>",
                                 .name_begin = "function<｜tool▁sep｜>",
                                 .name_end = "\n",
                                 .fenced = true};
constexpr CallFormat deepseek_v3_1{.name = "deepseek-v3.1",
                                   .body = Body::named_json,
                                   .section_open = "<｜tool▁calls▁begin｜>",
                                   .section_close = "<｜tool▁calls▁end｜>",
                                   .open = "<｜tool▁call▁begin｜>",
                                   .close = "<｜tool▁call▁end｜>",
                                   .name_end = "<｜tool▁sep｜>"};
constexpr CallFormat mistral_v11{.name = "mistral-v11",
                                 .body = Body::named_json,
                                 .open = "[TOOL_CALLS]",
                                 .name_end = "[ARGS]",
                                 .id_open = "[CALL_ID]",
                                 .arguments_open = "[ARGS]"};
constexpr CallFormat mistral{.name = "mistral", .body = Body::json, .open = "[TOOL_CALLS]", .list = true};
constexpr CallFormat functionary_v3_2{.name = "functionary-v3.2",
                                      .body = Body::named_json,
                                      .open = ">>>",
                                      .name_end = "\n",
                                      .content_name = "all"};
constexpr CallFormat function_tags{.name = "function-tags",
                                   .body = Body::named_json,
                                   .open = "<function=",
                                   .close = "</function>",
                                   .name_end = ">"};
constexpr CallFormat mcp{.name = "mcp",
                         .body = Body::named_json,
                         .section_open = "<use_mcp_tool>",
                         .section_close = "</use_mcp_tool>",
                         .open = "<server_name>",
                         .close = "</arguments>",
                         .name_begin = "<tool_name>",
                         .skipped_end = "</server_name>",
                         .name_end = "</tool_name>",
                         .arguments_open = "<arguments>",
                         .own_section = true};
constexpr CallFormat hermes{
    .name = "hermes", .body = Body::json, .open = "<tool_call>", .close = "</tool_call>"};
constexpr CallFormat tool_calls{
    .name = "tool-calls", .body = Body::json, .open = "<tool_calls>", .close = "</tool_calls>", .list = true};
constexpr CallFormat nemotron{
    .name = "nemotron", .body = Body::json, .open = "<TOOLCALL>", .close = "</TOOLCALL>", .list = true};
constexpr CallFormat functools{.name = "functools", .body = Body::json, .open = "functools", .list = true};
constexpr CallFormat granite{
    .name = "granite", .body = Body::json, .open = "<|tool_call|>", .close = "<|/tool_call|>", .list = true};
constexpr CallFormat command_r7b{.name = "command-r7b",
                                 .body = Body::json,
                                 .open = "<|START_ACTION|>",
                                 .close = "<|END_ACTION|>",
                                 .list = true,
                                 .name_key = "tool_name",
                                 .arguments_key = "parameters"};
constexpr CallFormat command_r{.name = "command-r",
                               .body = Body::json,
                               .open = "Action:",
                               .close = "```",
                               .list = true,
                               .fenced = true,
                               .name_key = "tool_name",
                               .arguments_key = "parameters"};
constexpr CallFormat gigachat{
    .name = "gigachat", .body = Body::json, .open = "<|message_sep|>\n\nfunction call<|role_sep|>\n"};
constexpr CallFormat llama3{.name = "llama3",
                            .body = Body::json_or_python,
                            .open = "<|python_tag|>",
                            .bare = true,
                            .arguments_key = "parameters"};
constexpr CallFormat llama4{.name = "llama4",
                            .body = Body::json_or_python,
                            .open = "<|python_start|>",
                            .close = "<|python_end|>",
                            .bare = true,
                            .arguments_key = "parameters"};
constexpr CallFormat lfm2{.name = "lfm2",
                          .body = Body::json_or_python,
                          .open = "<|tool_call_start|>",
                          .close = "<|tool_call_end|>",
                          .python = true,
                          .list = true};
constexpr CallFormat function_calls{.name = "function-calls",
                                    .body = Body::json_or_python,
                                    .open = "<function_calls>",
                                    .close = "</function_calls>",
                                    .python = true,
                                    .lines = true};
constexpr CallFormat gemma4{.name = "gemma4",
                            .body = Body::braces,
                            .open = "<|tool_call>",
                            .close = "<tool_call|>",
                            .name_prefix = "call:",
                            .quote = "<|\"|>"};
constexpr CallFormat glm4{
    .name = "glm4", .body = Body::named_json, .open = "<|assistant|>", .bare = true, .name_end = "\n"};
constexpr CallFormat glm4_5{.name = "glm-4.5",
                            .body = Body::parameters,
                            .open = "<tool_call>",
                            .close = "</tool_call>",
                            .parameter_open = "<arg_key>",
                            .key_end = "</arg_key>",
                            .value_open = "<arg_value>",
                            .value_close = "</arg_value>"};
constexpr CallFormat hunyuan3{.name = "hunyuan3",
                              .body = Body::parameters,
                              .section_open = "<tool_calls:opensource>",
                              .section_close = "</tool_calls:opensource>",
                              .open = "<tool_call:opensource>",
                              .close = "</tool_call:opensource>",
                              .name_end = "<tool_sep:opensource>",
                              .parameter_open = "<arg_key:opensource>",
                              .key_end = "</arg_key:opensource>",
                              .value_open = "<arg_value:opensource>",
                              .value_close = "</arg_value:opensource>"};
constexpr CallFormat qwen3_coder{.name = "qwen3-coder",
                                 .body = Body::parameters,
                                 .section_open = "<tool_call>",
                                 .section_close = "</tool_call>",
                                 .open = "<function=",
                                 .close = "</function>",
                                 .name_end = ">",
                                 .parameter_open = "<parameter=",
                                 .key_end = ">",
                                 .value_close = "</parameter>",
                                 .own_section = true};
constexpr CallFormat seed{.name = "seed-oss",
                          .body = Body::parameters,
                          .section_open = "<seed:tool_call>",
                          .section_close = "</seed:tool_call>",
                          .open = "<function=",
                          .close = "</function>",
                          .name_end = ">",
                          .parameter_open = "<parameter=",
                          .key_end = ">",
                          .value_close = "</parameter>",
                          .own_section = true};
constexpr CallFormat minimax{.name = "minimax-m2",
                             .body = Body::parameters,
                             .section_open = "<minimax:tool_call>",
                             .section_close = "</minimax:tool_call>",
                             .open = "<invoke name=\"",
                             .close = "</invoke>",
                             .name_end = "\">",
                             .parameter_open = "<parameter name=\"",
                             .key_end = "\">",
                             .value_close = "</parameter>"};
constexpr CallFormat dsml(std::string_view name, std::string_view section_open,
                          std::string_view section_close) {
  return {.name = name,
          .body = Body::parameters,
          .section_open = section_open,
          .section_close = section_close,
          .open = "<｜DSML｜invoke name=\"",
          .close = "</｜DSML｜invoke>",
          .name_end = "\">",
          .parameter_open = "<｜DSML｜parameter name=\"",
          .key_end = "\" string=\"",
          .value_close = "</｜DSML｜parameter>",
          .typed_end = "\">"};
}
constexpr CallFormat deepseek_v3_2 =
    dsml("deepseek-v3.2", "<｜DSML｜function_calls>", "</｜DSML｜function_calls>");
constexpr CallFormat deepseek_v4 = dsml("deepseek-v4", "<｜DSML｜tool_calls>", "</｜DSML｜tool_calls>");
constexpr CallFormat internlm2{.name = "internlm2",
                               .body = Body::json,
                               .open = "<|action_start|><|plugin|>",
                               .close = "<|action_end|>",
                               .arguments_key = "parameters"};

// What in a template's source, or among a vocabulary's special tokens, shows a format; the first that fits.
struct CallClue {
  std::array<std::string_view, 2> all;
  const CallFormat* format;
};
constexpr CallClue call_clues[] = {
    {{"<|channel|>", "<|message|>"}, &harmony},
    {{"<|tool_call_begin|>", "<|tool_call_argument_begin|>"}, &kimi},
    {{"<｜tool▁call▁begin｜>", "```json"}, &deepseek_r1},
    {{"<｜tool▁call▁begin｜>"}, &deepseek_v3_1},
    {{"[TOOL_CALLS]", "[ARGS]"}, &mistral_v11},
    {{"[TOOL_CALLS]"}, &mistral},
    {{">>>all"}, &functionary_v3_2},
    {{"<use_mcp_tool>"}, &mcp},
    {{"｜DSML｜", "function_calls"}, &deepseek_v3_2},
    {{"｜DSML｜"}, &deepseek_v4},
    {{"<minimax:tool_call>"}, &minimax},
    {{"<seed:tool_call>"}, &seed},
    {{"<function=", "<parameter="}, &qwen3_coder},
    {{"<tool_sep", ":opensource"}, &hunyuan3},
    {{"<arg_key>"}, &glm4_5},
    {{"<|tool_call>call:"}, &gemma4},
    {{"<|tool_call>", "<|\"|>"}, &gemma4},
    {{"<|START_ACTION|>"}, &command_r7b},
    {{"Action:", "tool_name"}, &command_r},
    {{"<TOOLCALL>"}, &nemotron},
    {{"<tool_calls>"}, &tool_calls},
    {{"functools["}, &functools},
    {{"<|tool_call|>"}, &granite},
    {{"function call", "<|role_sep|>"}, &gigachat},
    {{"<|action_start|>"}, &internlm2},
    {{"<function="}, &function_tags},
    {{"<tool_call>"}, &hermes},
    {{"<function_calls>"}, &function_calls},
    {{"<|tool_call_start|>"}, &lfm2},
    {{"<|tool_list_start|>"}, &lfm2},
    {{"List of tools: ["}, &lfm2},
    {{"<|python_start|>"}, &llama4},
    {{"<|python_tag|>"}, &llama3},
    {{"<|start_header_id|>", "ipython"}, &llama3},
    {{"<|assistant|>", "<|observation|>"}, &glm4},
};

struct ReasoningClue {
  std::string_view clue;
  ReasoningFormat format;
};
constexpr ReasoningClue reasoning_clues[] = {
    {"<|START_THINKING|>",
     {.open = "<|START_THINKING|>",
      .close = "<|END_THINKING|>",
      .frames = {"<|START_RESPONSE|>", "<|END_RESPONSE|>"}}},
    {"<seed:think>", {.open = "<seed:think>", .close = "</seed:think>"}},
    {"[THINK]", {.open = "[THINK]", .close = "[/THINK]"}},
    {"[BEGIN FINAL RESPONSE]",
     {.open = "Here are my reasoning steps:\n",
      .close = "[BEGIN FINAL RESPONSE]",
      .frames = {"", "[END FINAL RESPONSE]"}}},
    {":opensource", {.open = "<think:opensource>", .close = "</think:opensource>"}},
    {"<response>", {.open = "<think>", .close = "</think>", .frames = {"<response>", "</response>"}}},
    {"<|channel>", {.open = "<|channel>thought", .close = "<channel|>"}},
    {"◁think▷", {.open = "◁think▷", .close = "◁/think▷"}},
    {"<think>", {.open = "<think>", .close = "</think>"}},
    {"</think>", {.open = "<think>", .close = "</think>"}},
    {"<thought>", {.open = "<thought>", .close = "</thought>"}},
};

}  // namespace

Dialect Dialect::of(std::string_view source, const std::function<bool(std::string_view token)>& has_token) {
  const auto shown = [&](std::string_view clue) { return source.find(clue) != std::string_view::npos; };
  const auto find = [&](const auto& has, const CallFormat*& calls, const ReasoningFormat*& reasoning) {
    for (const CallClue& clue : call_clues)
      if (calls == nullptr && std::ranges::all_of(clue.all, [&](auto c) { return c.empty() || has(c); }))
        calls = clue.format;
    for (const ReasoningClue& clue : reasoning_clues)
      if (reasoning == nullptr && has(clue.clue)) reasoning = &clue.format;
  };
  Dialect dialect{nullptr, nullptr};
  find(shown, dialect.calls, dialect.reasoning);
  find(has_token, dialect.calls, dialect.reasoning);
  if (dialect.calls == nullptr) dialect.calls = &no_calls;
  return dialect;
}

bool Dialect::shows(std::string_view special_token) const {
  if (special_token.empty()) return false;
  if (calls->body == Body::channels)
    return std::ranges::find(dialect::channel_marks(), special_token) != dialect::channel_marks().end();
  const auto part = [&](std::string_view mark) { return mark.find(special_token) != std::string_view::npos; };
  const CallFormat& c = *calls;
  const std::string_view marks[] = {
      c.section_open,   c.section_close,  c.open,    c.close,      c.name_begin,  c.name_end,  c.id_open,
      c.arguments_open, c.parameter_open, c.key_end, c.value_open, c.value_close, c.typed_end, c.quote};
  return std::ranges::any_of(marks, part) ||
         (reasoning != nullptr &&
          (part(reasoning->open) || part(reasoning->close) || std::ranges::any_of(reasoning->frames, part)));
}

std::vector<const CallFormat*> call_formats() {
  std::vector<const CallFormat*> formats;
  for (const CallClue& clue : call_clues)
    if (std::ranges::find(formats, clue.format) == formats.end()) formats.push_back(clue.format);
  return formats;
}

std::vector<std::int32_t> shown_tokens(const Dialect& dialect, const Tokenizer& tokenizer) {
  std::vector<std::int32_t> tokens;
  for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id)
    if (tokenizer.is_special(id) && !tokenizer.is_end_of_generation(id) &&
        dialect.shows(tokenizer.token_text(id)))
      tokens.push_back(id);
  return tokens;
}

}  // namespace rf
