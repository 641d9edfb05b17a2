#include "chat/dialect.h"

#include <algorithm>
#include <array>

namespace rf {
namespace {

using Body = CallFormat::Body;

constexpr CallFormat none{.name = "none"};
constexpr CallFormat harmony{.name = "harmony",
                             .body = Body::channels,
                             .open = "<|start|>assistant",
                             .close = "<|call|>",
                             .name_end = "<|message|>",
                             .name_prefix = "functions."};
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
                                 .name_begin = "<｜tool▁sep｜>",
                                 .name_end = "\n"};
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
constexpr CallFormat mistral{.name = "mistral", .body = Body::json, .open = "[TOOL_CALLS]"};
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
                         .name_end = "</tool_name>",
                         .arguments_open = "<arguments>"};
constexpr CallFormat hermes{
    .name = "hermes", .body = Body::json, .open = "<tool_call>", .close = "</tool_call>"};
constexpr CallFormat tool_calls{
    .name = "tool-calls", .body = Body::json, .open = "<tool_calls>", .close = "</tool_calls>"};
constexpr CallFormat nemotron{
    .name = "nemotron", .body = Body::json, .open = "<TOOLCALL>", .close = "</TOOLCALL>"};
constexpr CallFormat functools{.name = "functools", .body = Body::json, .open = "functools"};
constexpr CallFormat granite{
    .name = "granite", .body = Body::json, .open = "<|tool_call|>", .close = "<|/tool_call|>"};
constexpr CallFormat command_r7b{
    .name = "command-r7b", .body = Body::json, .open = "<|START_ACTION|>", .close = "<|END_ACTION|>"};
constexpr CallFormat command_r{.name = "command-r", .body = Body::json, .open = "Action:", .close = "```"};
constexpr CallFormat gigachat{.name = "gigachat", .body = Body::json, .open = "function call<|role_sep|>\n"};
constexpr CallFormat llama3{.name = "llama3", .body = Body::json, .open = "<|python_tag|>", .bare = true};
constexpr CallFormat internlm2{
    .name = "internlm2", .body = Body::json, .open = "<|action_start|><|plugin|>", .close = "<|action_end|>"};

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
    {{"<|python_tag|>"}, &llama3},
    {{"<|start_header_id|>", "ipython"}, &llama3},
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
  if (dialect.calls == nullptr) dialect.calls = &none;
  return dialect;
}

bool Dialect::shows(std::string_view special_token) const {
  if (special_token.empty()) return false;
  const auto part = [&](std::string_view mark) { return mark.find(special_token) != std::string_view::npos; };
  const CallFormat& c = *calls;
  const std::string_view marks[] = {
      c.section_open,   c.section_close,  c.open,    c.close,      c.name_begin,  c.name_end,  c.id_open,
      c.arguments_open, c.parameter_open, c.key_end, c.value_open, c.value_close, c.typed_end, c.quote};
  return std::ranges::any_of(marks, part) ||
         (reasoning != nullptr &&
          (part(reasoning->open) || part(reasoning->close) || std::ranges::any_of(reasoning->frames, part)));
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
