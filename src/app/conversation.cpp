#include "app/conversation.h"

#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "gguf/gguf.h"

namespace rf {
namespace {

using namespace nlohmann::literals;

constexpr const char* template_key = "tokenizer.chat_template";

ChatTemplate parse_template(const Gguf& file, const std::string& source) {
  try {
    return ChatTemplate(source);
  } catch (const Error& error) {
    fail("{}: {}: {}", file.path(), template_key, error.what());
  }
}

std::string text_of(const Tokenizer& tokenizer, std::int32_t token) {
  return std::string(tokenizer.token_text(token));
}

}  // namespace

std::string chat_template_source(const Gguf& file, const Tokenizer& tokenizer) {
  if (file.has(template_key)) return file.get<std::string>(template_key);
  spdlog::warn("{}: has no chat template; using the one that its special tokens suggest", file.path());
  return default_chat_template([&](std::string_view token) { return tokenizer.find(token) >= 0; });
}

Conversation::Conversation(const Gguf& file, const Tokenizer& tokenizer, nlohmann::ordered_json tools)
    : tokenizer_(tokenizer),
      source_(chat_template_source(file, tokenizer)),
      template_(parse_template(file, source_)),
      needs_(TemplateNeeds::of(template_, source_)),
      dialect_(Dialect::of(source_, [&](std::string_view token) { return tokenizer.find(token) >= 0; })),
      tools_(std::move(tools)),
      messages_(nlohmann::ordered_json::array()) {}

void Conversation::set_system(const std::string& text) {
  if (!messages_.empty() && messages_[0]["role"] == "system") messages_.erase(0);
  if (text.empty()) return;
  nlohmann::ordered_json message = {{"role", "system"}, {"content", text}};
  messages_.insert(messages_.begin(), std::move(message));
}

void Conversation::reset() {
  const bool system = !messages_.empty() && messages_[0]["role"] == "system";
  messages_.erase(messages_.begin() + (system ? 1 : 0), messages_.end());
}

std::vector<std::int32_t> Conversation::ask(const std::string& text) {
  messages_.push_back({{"role", "user"}, {"content", text}});
  return render();
}

std::optional<std::vector<std::int32_t>> Conversation::result(const std::string& text) {
  std::size_t results = 0;
  while (results < messages_.size() && messages_[messages_.size() - 1 - results]["role"] == "tool") ++results;
  const nlohmann::ordered_json none;
  const auto& asking = results < messages_.size() ? messages_[messages_.size() - 1 - results] : none;
  const auto& calls = asking.contains("tool_calls") ? asking["tool_calls"] : none;
  if (!calls.is_array() || results >= calls.size()) fail("no call waits for a result");
  const nlohmann::ordered_json call = calls[results];
  const bool last = results + 1 == calls.size();
  messages_.push_back({{"role", "tool"},
                       {"tool_call_id", call.value("id", "")},
                       {"name", call.value("/function/name"_json_pointer, "")},
                       {"content", text}});
  if (!last) return std::nullopt;
  return render();
}

std::vector<std::int32_t> Conversation::render() {
  ChatTemplateInput input;
  input.messages = adapted(messages_, needs_);
  input.tools = tools_;
  input.bos = text_of(tokenizer_, tokenizer_.bos());
  input.eos = text_of(tokenizer_, tokenizer_.eos());
  std::string prompt;
  try {
    prompt = template_.render(input);
  } catch (const Error&) {
    take_back();
    throw;
  }
  const std::vector<std::int32_t> rest = continuation(prompt);
  if (rest.empty())
    ids_ = encode_whole(prompt);
  else
    ids_.insert(ids_.end(), rest.begin(), rest.end());
  text_ = std::move(prompt);
  return ids_;
}

void Conversation::answered(const Message& message, std::span<const std::int32_t> ids) {
  messages_.push_back(to_json(message));
  Detokenizer detokenizer(tokenizer_, true, true);
  for (const std::int32_t id : ids) text_ += detokenizer.push(id);
  text_ += detokenizer.finish();
  ids_.insert(ids_.end(), ids.begin(), ids.end());
}

void Conversation::take_back() {
  messages_.erase(messages_.size() - 1);
}

void Conversation::set_messages(nlohmann::ordered_json messages) {
  const auto well_formed = [](const nlohmann::ordered_json& message) {
    const bool calls = message.contains("tool_calls") && message["tool_calls"].is_array();
    return message.contains("role") && message["role"].is_string() &&
           (message.contains("content")
                ? message["content"].is_string() || (calls && message["content"].is_null())
                : calls);
  };
  if (!messages.is_array()) fail("expected a JSON array of messages");
  for (std::size_t i = 0; i < messages.size(); ++i)
    if (!well_formed(messages[i])) fail("message {}: expected texts \"role\" and \"content\"", i);
  messages_ = std::move(messages);
}

// A special token keeps what follows it apart from what stands before it, so that a text can be encoded in
// two parts where one of them has a special token at the border.
std::vector<std::int32_t> Conversation::continuation(const std::string& prompt) const {
  if (ids_.empty() || prompt.size() <= text_.size() || !prompt.starts_with(text_)) return {};
  const bool ended = tokenizer_.is_special(ids_.back());
  std::string border = ended ? text_of(tokenizer_, ids_.back()) : "";
  border += std::string_view(prompt).substr(text_.size());
  std::vector<std::int32_t> rest = tokenizer_.encode(border, {.add_special = false});
  if (rest.empty() || !tokenizer_.is_special(rest[0])) return {};
  if (ended) {
    if (rest[0] != ids_.back()) return {};
    rest.erase(rest.begin());
  }
  return rest;
}

std::vector<std::int32_t> Conversation::encode_whole(const std::string& text) const {
  std::vector<std::int32_t> ids = tokenizer_.encode(text, {.add_special = false});
  const std::int32_t bos = tokenizer_.bos();  // most templates write it themselves
  if (tokenizer_.add_bos() && bos >= 0 && (ids.empty() || ids[0] != bos)) ids.insert(ids.begin(), bos);
  return ids;
}

}  // namespace rf
