// MessageBuilder: gathers a message and the deltas that lead to it. ToolSet: what the offered tools are like.
// The dialect folder owns the parsers behind MessageParser: marks, one reader for each way to write a call,
// and Harmony's channels.
#pragma once
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/message.h"

namespace rf::dialect {

class ToolSet {
 public:
  explicit ToolSet(nlohmann::ordered_json tools);  // an array in OpenAI's form, or with bare functions
  bool empty() const { return functions_.empty(); }
  bool has(std::string_view name) const { return find(name) != nullptr; }
  bool has_beginning(std::string_view text) const;  // of a name
  // The schema of a parameter; null where the tool, or what it says about that name, is unknown.
  const nlohmann::ordered_json* parameter(std::string_view tool, std::string_view key) const;

 private:
  const nlohmann::ordered_json* find(std::string_view name) const;

  std::vector<nlohmann::ordered_json> functions_;
};

}  // namespace rf::dialect

namespace rf {

class MessageBuilder {
 public:
  MessageBuilder(nlohmann::ordered_json tools, std::uint64_t id_seed);

  void content(std::string_view text) { add(MessageDelta::Kind::content, text); }
  void reasoning(std::string_view text) { add(MessageDelta::Kind::reasoning, text); }
  void begin_call(std::string_view name, std::string_view id);                         // id "": make one up
  void arguments(std::string_view text) { add(MessageDelta::Kind::tool_call, text); }  // of the last call

  const dialect::ToolSet& tools() const { return tools_; }
  const Message& message() const { return message_; }
  std::vector<MessageDelta> take() { return std::exchange(deltas_, {}); }

 private:
  void add(MessageDelta::Kind kind, std::string_view text);
  std::string make_id();

  dialect::ToolSet tools_;
  std::mt19937_64 random_;
  Message message_;
  std::vector<MessageDelta> deltas_;
};

}  // namespace rf
