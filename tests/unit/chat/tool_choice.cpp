// Replies held to calls of tools: whatever is written by chance is read back as calls that fit.
#include "chat/tool_choice.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "chat/message_parser.h"
#include "cuts.h"
#include "grammar.h"

namespace rf {
namespace {

using Json = nlohmann::ordered_json;

const Json tools = Json::parse(R"([
  {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {
    "place": {"type": "string", "maxLength": 5}, "unit": {"type": "string", "enum": ["c", "f"]},
    "days": {"type": "integer", "minimum": 1, "maximum": 20}}, "required": ["place", "days"]}}},
  {"type": "function", "function": {"name": "ping", "parameters": {"type": "object", "properties": {}}}}])");

bool fits(const ToolCall& call) {
  const Json arguments = Json::parse(call.arguments, nullptr, false);
  if (!arguments.is_object()) return false;
  if (call.name == "ping") return true;
  return call.name == "look" && arguments.contains("place") && arguments["place"].is_string() &&
         arguments.contains("days") && arguments["days"].is_number_integer() && arguments["days"] >= 1 &&
         arguments["days"] <= 20 && (!arguments.contains("unit") || arguments["unit"].is_string());
}

TEST(ToolChoice, WhatIsWrittenByChanceIsReadAsCalls) {
  constexpr ReasoningFormat think{"<think>", "</think>", {}};
  const auto trie = test::mixed_trie();
  for (const CallFormat* format : call_formats()) {
    if (format->body == CallFormat::Body::no_calls) continue;
    const bool channels = format->body == CallFormat::Body::channels;
    const Dialect dialect{format, &think};
    const std::vector<std::string> prompts =
        channels ? std::vector<std::string>{"<|start|>assistant"} : std::vector<std::string>{"", "<think>\n"};
    for (const std::string& prompt : prompts)
      for (const bool parallel : {false, true}) {
        const auto source = tool_choice(tools, dialect, prompt, parallel);
        const auto grammar = test::TokenGrammar::make(tool_call_rules(dialect, source), trie);
        for (unsigned seed = 0; seed < 2; ++seed) {
          const std::string text = test::random_text(*grammar, seed, 30, 29);
          MessageParser parser(dialect, {.prompt = prompt, .tools = tools, .id_seed = 1});
          parser.feed(text);
          parser.finish();
          const Message& message = parser.message();
          EXPECT_EQ(message.content, "") << format->name << ": " << text;
          EXPECT_GE(message.tool_calls.size(), 1u) << format->name << ": " << text;
          EXPECT_LE(message.tool_calls.size(), parallel ? 1000u : 1u) << format->name << ": " << text;
          if (seed == 0) test::expect_same_however_cut(dialect, text, prompt, tools);
          for (const ToolCall& call : message.tool_calls)
            EXPECT_TRUE(fits(call)) << format->name << ": " << text << "\n" << call.arguments;
        }
      }
  }
}

TEST(ToolChoice, SaysWhatItCannotDo) {
  const auto error = [](const Json& offered, std::string_view marks) -> std::string {
    const Dialect dialect = Dialect::of(marks, [](std::string_view) { return false; });
    try {
      tool_call_rules(dialect, tool_choice(offered, dialect, "", false));
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(error(tools, "<tool_call>"), "");
  EXPECT_NE(error(tools, "plain").find("no calls"), std::string::npos);
  EXPECT_NE(error(Json::array(), "<tool_call>").find("at least one"), std::string::npos);
  EXPECT_NE(error(Json::parse("[{}]"), "<tool_call>").find("names"), std::string::npos);
  // A schema that is not supported holds the arguments to an object only.
  EXPECT_EQ(
      error(Json::parse(
                R"([{"function": {"name": "f", "parameters": {"type": "object", "$dynamicRef": "#x"}}}])"),
            "<tool_call>"),
      "");
}

}  // namespace
}  // namespace rf
