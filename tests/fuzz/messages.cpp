// Any text in any dialect: nothing fails, the deltas add up to the message, and cutting the text changes
// nothing. The first byte chooses the dialect, the second the prompt and the pieces.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "chat/message_parser.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

constexpr rf::ReasoningFormat think{"<think>", "</think>", {"<response>", "</response>"}};

rf::Message parse(const rf::Dialect& dialect, std::string_view text, std::string_view prompt,
                  std::size_t piece) {
  static const auto tools = nlohmann::ordered_json::parse(R"([{"function": {"name": "f", "parameters": {
    "properties": {"a": {"type": "string"}, "b": {"type": ["integer", "null"]}}}}}, {"name": "ff"}])");
  rf::MessageParser parser(dialect, {.prompt = prompt, .tools = tools, .id_seed = 1});
  std::size_t bytes = 0;
  const auto count = [&](const std::vector<rf::MessageDelta>& deltas) {
    for (const rf::MessageDelta& delta : deltas) bytes += delta.text.size();
  };
  for (std::size_t at = 0; at < text.size(); at += piece) count(parser.feed(text.substr(at, piece)));
  count(parser.finish());
  std::size_t whole = parser.message().content.size() + parser.message().reasoning.size();
  for (const rf::ToolCall& call : parser.message().tool_calls) whole += call.arguments.size();
  require(bytes == whole);
  return parser.message();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto formats = rf::call_formats();
  if (size < 2) return 0;
  const rf::Dialect dialect{formats[data[0] % formats.size()], &think};
  const std::string_view prompts[] = {"", "<think>\n", dialect.calls->open};
  const std::string_view prompt = prompts[data[1] % 3];
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const rf::Message whole = parse(dialect, text, prompt, std::max(size, std::size_t{1}));
  require(whole == parse(dialect, text, prompt, 1));
  require(whole == parse(dialect, text, prompt, 2 + data[1] / 3 % 40));
  return 0;
}
