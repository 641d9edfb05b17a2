// The examples of docs/templates.md, and its table.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "chat/chat_template.h"
#include "chat/message_parser.h"
#include "golden.h"

namespace rf {
namespace {

using Json = nlohmann::ordered_json;

struct Block {
  std::string kind, argument, text;
};

std::string page() {
  std::ifstream file(test::tests_folder() + "/../docs/templates.md", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Fenced blocks that say what they are, without the end of their last line.
std::vector<Block> blocks_of(const std::string& page) {
  std::vector<Block> blocks;
  for (std::size_t at = 0; (at = page.find("\n```", at)) != std::string::npos;) {
    const std::size_t line = page.find('\n', at + 4), end = page.find("\n```", line);
    const std::string head = page.substr(at + 4, line - at - 4);
    const std::size_t space = std::min(head.find(' '), head.size());
    blocks.push_back({head.substr(0, space), head.substr(std::min(space + 1, head.size())),
                      page.substr(line + 1, end - line - 1)});
    at = end + 4;
  }
  return blocks;
}

TEST(TemplatesPage, TemplateExamplesGiveTheirPrompts) {
  const auto blocks = blocks_of(page());
  int examples = 0;
  for (auto at = blocks.begin();
       (at = std::find_if(at, blocks.end(), [](const Block& b) { return b.kind == "jinja"; })) !=
       blocks.end();
       ++at, ++examples) {
    ASSERT_GE(blocks.end() - at, 3);
    const ChatTemplate chat(at[0].text);
    EXPECT_EQ(chat.render({.messages = Json::parse(at[1].text),
                           .tools = {},
                           .variables = {},
                           .bos = "",
                           .eos = "",
                           .now = {}}),
              at[2].text);
  }
  EXPECT_EQ(examples, 2);
}

TEST(TemplatesPage, MessageExamplesAreParsedSo) {
  const Json tools = Json::parse(R"([{"function": {"name": "get_weather", "parameters": {"properties": {
    "city": {"type": "string"}, "days": {"type": "integer"}}}}}])");
  const auto formats = call_formats();
  constexpr ReasoningFormat think{"<think>", "</think>", {}};
  const auto blocks = blocks_of(page());
  int examples = 0;
  for (std::size_t i = 0; i + 1 < blocks.size(); ++i) {
    if (blocks[i].kind != "text") continue;
    const auto format = std::ranges::find(formats, blocks[i].argument, &CallFormat::name);
    ASSERT_NE(format, formats.end()) << blocks[i].argument;
    const Dialect dialect{*format, &think};
    MessageParser parser(dialect, {.prompt = "<|start|>assistant", .tools = tools, .id_seed = 1});
    parser.feed(blocks[i].text);
    parser.finish();
    Json got = {{"content", parser.message().content},
                {"reasoning", parser.message().reasoning},
                {"calls", Json::array()}};
    for (const ToolCall& call : parser.message().tool_calls)
      got["calls"].push_back({call.name, Json::parse(call.arguments)});
    EXPECT_EQ(got, Json::parse(blocks[i + 1].text));
    ++examples;
  }
  EXPECT_EQ(examples, 3);
}

TEST(TemplatesPage, TableHasEveryDialect) {
  const std::string text = page();
  for (const CallFormat* format : call_formats())
    EXPECT_NE(text.find("| `" + std::string(format->name) + "` |"), std::string::npos) << format->name;
}

}  // namespace
}  // namespace rf
