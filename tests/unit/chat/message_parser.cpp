// Generated texts of every dialect, cut at every place: always the same message.
#include "chat/message_parser.h"

#include <gtest/gtest.h>

namespace rf {
namespace {

using Json = nlohmann::ordered_json;

const Json tools = Json::parse(R"([
  {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {
    "city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}}}},
  {"type": "function", "function": {"name": "search_db", "parameters": {"type": "object", "properties": {
    "query": {"type": "string"}, "limit": {"type": "integer"}, "filters": {"type": "array"},
    "exact": {"type": "boolean"}, "label": {"type": ["string", "null"]}}}}},
  {"type": "function", "function": {"name": "ping", "parameters": {"type": "object", "properties": {}}}}])");

Dialect dialect_of(std::string_view source) {
  return Dialect::of(source, [](std::string_view) { return false; });
}

// The deltas put together as a client would.
void add(Message& whole, const std::vector<MessageDelta>& deltas) {
  for (const MessageDelta& delta : deltas) {
    if (delta.kind == MessageDelta::Kind::content) whole.content += delta.text;
    if (delta.kind == MessageDelta::Kind::reasoning) whole.reasoning += delta.text;
    if (delta.kind != MessageDelta::Kind::tool_call) continue;
    if (!delta.name.empty()) whole.tool_calls.push_back({delta.id, delta.name, ""});
    ASSERT_EQ(delta.call, static_cast<int>(whole.tool_calls.size()) - 1);
    whole.tool_calls.back().arguments += delta.text;
  }
}

Message parse(const Dialect& dialect, const std::vector<std::string_view>& pieces, std::string_view prompt) {
  MessageParser parser(dialect, {.prompt = prompt, .tools = tools, .id_seed = 1});
  Message whole;
  for (const std::string_view piece : pieces) add(whole, parser.feed(piece));
  add(whole, parser.finish());
  EXPECT_EQ(whole, parser.message());
  return whole;
}

TEST(MessageParser, HermesCallsAndReasoning) {
  const Dialect d = dialect_of("<tool_call> <think>");
  std::string text =
      "<think>\nHm.\n</think>\n\nLet me see.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": "
      "{\"city\": \"Paris\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"ping\"}</tool_call>\n";
  const Message m = parse(d, {text}, "");
  EXPECT_EQ(m.reasoning, "Hm.");
  EXPECT_EQ(m.content, "Let me see.");
  ASSERT_EQ(m.tool_calls.size(), 2);
  for (std::size_t i = 0; i <= text.size(); ++i)
    EXPECT_EQ(parse(d, {std::string_view(text).substr(0, i), std::string_view(text).substr(i)}, ""), m) << i;
}

}  // namespace
}  // namespace rf
