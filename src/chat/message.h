// Message: what an assistant said: text for the user, reasoning, and calls of tools; whole, or piece by
// piece.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace rf {

struct ToolCall {
  std::string id;  // as the model wrote it where its dialect has such, else made up
  std::string name;
  std::string arguments;  // JSON, an object unless the model broke off or wrote it wrong

  bool operator==(const ToolCall&) const = default;
};

struct Message {
  std::string content, reasoning;
  std::vector<ToolCall> tool_calls;

  bool operator==(const Message&) const = default;
};

struct MessageDelta {
  enum class Kind : std::uint8_t { content, reasoning, tool_call };
  Kind kind = Kind::content;
  std::string text;      // more of the content, of the reasoning, or of the call's arguments
  int call = -1;         // which call, from 0
  std::string id, name;  // of a call, whole and only in its first delta
};

// As a message of a conversation for a chat template, in OpenAI's form: role, content, reasoning_content
// where there is any, tool_calls with `arguments` as text.
nlohmann::ordered_json to_json(const Message& message);

}  // namespace rf
