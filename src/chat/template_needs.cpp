#include "chat/template_needs.h"

#include <string>
#include <utility>

#include "base/error.h"

namespace rf {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view needle = "NEEDLE";

std::string rendered(const ChatTemplate& chat, Json messages, Json tools = nullptr) {
  try {
    return chat.render({.messages = std::move(messages),
                        .tools = std::move(tools),
                        .variables = {},
                        .bos = "",
                        .eos = "",
                        .now = {}});
  } catch (const Error&) {
    return "";
  }
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string with_content(const ChatTemplate& chat, const Json& content) {
  return rendered(chat, Json::array({{{"role", "user"}, {"content", content}}}));
}

std::string with_arguments(const ChatTemplate& chat, const Json& arguments, const char* id = "call00001") {
  const Json call = {
      {"id", id}, {"type", "function"}, {"function", {{"name", "probe"}, {"arguments", arguments}}}};
  const Json tool = {
      {"type", "function"},
      {"function",
       {{"name", "probe"},
        {"description", "A probe."},
        {"parameters", {{"type", "object"}, {"properties", {{"key", {{"type", "string"}}}}}}}}}};
  return rendered(
      chat,
      Json::array({{{"role", "user"}, {"content", "u"}},
                   {{"role", "assistant"}, {"content", ""}, {"tool_calls", Json::array({call})}},
                   {{"role", "tool"}, {"tool_call_id", id}, {"name", "probe"}, {"content", "r"}}}),
      Json::array({tool}));
}

void adapt_content(Json& message, const TemplateNeeds& needs) {
  Json& content = message["content"];
  if (content.is_null() && message.value("role", "") == "assistant") content = "";
  if (content.is_string() && needs.parts) content = Json::array({{{"type", "text"}, {"text", content}}});
  if (!content.is_array() || needs.parts || needs.takes_parts) return;
  std::string text;
  for (const Json& part : content) {
    if (!part.is_object() || !part.contains("text") || !part["text"].is_string()) return;
    text += (text.empty() ? "" : "\n") + part["text"].get<std::string>();
  }
  content = text;
}

// Nine letters and digits that stand for an id of any form.
void adapt_id(Json& message, const char* key) {
  constexpr std::string_view characters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  if (!message.contains(key) || !message[key].is_string()) return;
  const auto& id = message[key].get_ref<const std::string&>();
  if (id.size() == 9 && id.find_first_not_of(characters) == std::string::npos) return;
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  std::string nine;
  for (int i = 0; i < 9; ++i, hash /= characters.size()) nine += characters[hash % characters.size()];
  message[key] = nine;
}

void adapt_arguments(Json& call, const TemplateNeeds& needs) {
  if (!call.is_object() || !call.contains("function") || !call["function"].is_object()) return;
  Json& function = call["function"];
  const auto arguments = function.find("arguments");
  if (arguments == function.end()) return;
  if (needs.text_arguments) {
    if (!arguments->is_string()) *arguments = arguments->dump();
  } else if (arguments->is_string()) {
    Json parsed = Json::parse(arguments->get_ref<const std::string&>(), nullptr, false);
    if (parsed.is_object()) *arguments = std::move(parsed);
  }
}

}  // namespace

TemplateNeeds TemplateNeeds::of(const ChatTemplate& chat, std::string_view source) {
  TemplateNeeds needs;
  const Json text_part = Json::array({{{"type", "text"}, {"text", needle}}});
  const std::string from_parts = with_content(chat, text_part);
  needs.takes_parts = has(from_parts, needle) && !has(from_parts, "'text'") && !has(from_parts, "\"text\"");
  needs.parts = needs.takes_parts && !has(with_content(chat, needle), needle);
  // As an object, and not in Python's notation; else as a text, and not put in quotes once more.
  const std::string object = with_arguments(chat, {{"key", needle}});
  const std::string text = with_arguments(chat, R"({"key": "NEEDLE"})");
  needs.text_arguments = (!has(object, needle) || has(object, "'NEEDLE'")) && has(text, R"("key": "NEEDLE")");
  const Json probe = needs.text_arguments ? Json(R"({"key": "NEEDLE"})") : Json{{"key", needle}};
  needs.nine_ids = has(needs.text_arguments ? text : object, needle) &&
                   !has(with_arguments(chat, probe, "call_0000000001"), needle);
  needs.thinking = !has(source, "reasoning_content") && has(source, "thinking");
  return needs;
}

Json adapted(Json messages, const TemplateNeeds& needs) {
  if (!messages.is_array()) return messages;
  for (Json& message : messages) {
    if (!message.is_object()) continue;
    adapt_content(message, needs);
    if (message.contains("tool_calls") && message["tool_calls"].is_array())
      for (Json& call : message["tool_calls"]) {
        adapt_arguments(call, needs);
        if (needs.nine_ids && call.is_object()) adapt_id(call, "id");
      }
    if (needs.nine_ids) adapt_id(message, "tool_call_id");
    if (needs.thinking && message.contains("reasoning_content")) {
      message["thinking"] = std::move(message["reasoning_content"]);
      message.erase("reasoning_content");
    }
  }
  return messages;
}

}  // namespace rf
