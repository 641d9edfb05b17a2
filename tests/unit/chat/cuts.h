// One message from a text that comes in pieces, however it is cut.
#pragma once
#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "chat/message_parser.h"

namespace rf::test {

// The deltas put together as a client would.
inline void add(Message& whole, const std::vector<MessageDelta>& deltas) {
  for (const MessageDelta& delta : deltas) {
    if (delta.kind == MessageDelta::Kind::content) whole.content += delta.text;
    if (delta.kind == MessageDelta::Kind::reasoning) whole.reasoning += delta.text;
    if (delta.kind != MessageDelta::Kind::tool_call) continue;
    if (!delta.name.empty()) whole.tool_calls.push_back({delta.id, delta.name, ""});
    ASSERT_EQ(delta.call, static_cast<int>(whole.tool_calls.size()) - 1);
    whole.tool_calls.back().arguments += delta.text;
  }
}

inline Message parsed(const Dialect& dialect, const std::vector<std::string_view>& pieces,
                      std::string_view prompt, const nlohmann::ordered_json& offered) {
  MessageParser parser(dialect, {.prompt = prompt, .tools = offered, .id_seed = 1});
  Message whole;
  for (const std::string_view piece : pieces) add(whole, parser.feed(piece));
  add(whole, parser.finish());
  EXPECT_EQ(whole, parser.message());
  return whole;
}

// All ways to cut a text in two, into single bytes, and into threes.
inline void expect_same_however_cut(const Dialect& dialect, std::string_view text, std::string_view prompt,
                                    const nlohmann::ordered_json& offered) {
  const Message whole = parsed(dialect, {text}, prompt, offered);
  for (std::size_t at = 0; at <= text.size(); ++at)
    ASSERT_EQ(parsed(dialect, {text.substr(0, at), text.substr(at)}, prompt, offered), whole)
        << "cut at " << at;
  for (const std::size_t length : {std::size_t{1}, std::size_t{3}}) {
    std::vector<std::string_view> pieces;
    for (std::size_t at = 0; at < text.size(); at += length) pieces.push_back(text.substr(at, length));
    ASSERT_EQ(parsed(dialect, pieces, prompt, offered), whole) << "pieces of " << length;
  }
}

}  // namespace rf::test
