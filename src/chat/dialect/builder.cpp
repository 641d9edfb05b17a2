#include "chat/dialect/builder.h"

#include <algorithm>

namespace rf {
namespace dialect {

using Json = nlohmann::ordered_json;

ToolSet::ToolSet(Json tools) {
  if (!tools.is_array()) return;
  for (Json& tool : tools) {
    if (!tool.is_object()) continue;
    const auto inner = tool.find("function");
    Json function = inner != tool.end() && inner->is_object() ? std::move(*inner) : std::move(tool);
    const auto name = function.find("name");
    if (name != function.end() && name->is_string()) functions_.push_back(std::move(function));
  }
}

const Json* ToolSet::find(std::string_view name) const {
  const auto at = std::ranges::find_if(
      functions_, [&](const Json& f) { return f["name"].get_ref<const std::string&>() == name; });
  return at == functions_.end() ? nullptr : &*at;
}

bool ToolSet::has_beginning(std::string_view text) const {
  return std::ranges::any_of(
      functions_, [&](const Json& f) { return f["name"].get_ref<const std::string&>().starts_with(text); });
}

const Json* ToolSet::parameter(std::string_view tool, std::string_view key) const {
  const Json* at = find(tool);
  for (const std::string_view step : {std::string_view("parameters"), std::string_view("properties"), key}) {
    if (at == nullptr || !at->is_object()) return nullptr;
    const auto next = at->find(step);
    at = next == at->end() ? nullptr : &*next;
  }
  return at;
}

}  // namespace dialect

MessageBuilder::MessageBuilder(nlohmann::ordered_json tools, std::uint64_t id_seed)
    : tools_(std::move(tools)), random_(id_seed != 0 ? id_seed : std::random_device()()) {}

void MessageBuilder::add(MessageDelta::Kind kind, std::string_view text) {
  if (text.empty()) return;
  const int call =
      kind == MessageDelta::Kind::tool_call ? static_cast<int>(message_.tool_calls.size()) - 1 : -1;
  std::string& whole = kind == MessageDelta::Kind::content     ? message_.content
                       : kind == MessageDelta::Kind::reasoning ? message_.reasoning
                                                               : message_.tool_calls.back().arguments;
  whole += text;
  if (deltas_.empty() || deltas_.back().kind != kind || deltas_.back().call != call)
    deltas_.push_back({.kind = kind, .text = "", .call = call, .id = "", .name = ""});
  deltas_.back().text += text;
}

void MessageBuilder::begin_call(std::string_view name, std::string_view id) {
  ToolCall call{.id = id.empty() ? make_id() : std::string(id), .name = std::string(name), .arguments = ""};
  deltas_.push_back({.kind = MessageDelta::Kind::tool_call,
                     .text = "",
                     .call = static_cast<int>(message_.tool_calls.size()),
                     .id = call.id,
                     .name = call.name});
  message_.tool_calls.push_back(std::move(call));
}

// Nine letters and digits: what Mistral's templates insist on, and good for all others.
std::string MessageBuilder::make_id() {
  constexpr std::string_view characters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string id;
  std::uint64_t bits = random_();
  for (int i = 0; i < 9; ++i, bits /= characters.size()) id += characters[bits % characters.size()];
  return id;
}

}  // namespace rf
