#include "app/conversation.h"

#include "base/error.h"
#include "base/log.h"
#include "gguf/gguf.h"

namespace rf {
namespace {

constexpr const char* template_key = "tokenizer.chat_template";

ChatTemplate parse_template(const Gguf& file, const Tokenizer& tokenizer) {
  try {
    return ChatTemplate(chat_template_source(file, tokenizer));
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

Conversation::Conversation(const Gguf& file, const Tokenizer& tokenizer)
    : tokenizer_(tokenizer),
      template_(parse_template(file, tokenizer)),
      messages_(nlohmann::ordered_json::array()) {}

void Conversation::set_system(const std::string& text) {
  if (!messages_.empty() && messages_[0]["role"] == "system") messages_.erase(0);
  if (!text.empty()) messages_.insert(messages_.begin(), {{"role", "system"}, {"content", text}});
}

void Conversation::reset() {
  const bool system = !messages_.empty() && messages_[0]["role"] == "system";
  messages_.erase(messages_.begin() + (system ? 1 : 0), messages_.end());
}

std::vector<std::int32_t> Conversation::ask(const std::string& text) {
  messages_.push_back({{"role", "user"}, {"content", text}});
  ChatTemplateInput input;
  input.messages = messages_;
  input.bos = text_of(tokenizer_, tokenizer_.bos());
  input.eos = text_of(tokenizer_, tokenizer_.eos());
  std::string prompt;
  try {
    prompt = template_.render(input);
  } catch (const Error&) {
    take_back();
    throw;
  }
  std::vector<std::int32_t> rest;
  if (!ids_.empty() && prompt.size() > text_.size() && prompt.starts_with(text_))
    rest = tokenizer_.encode(std::string_view(prompt).substr(text_.size()), {.add_special = false});
  // A special token keeps what follows it apart from what stands before it, so both can be encoded alone.
  if (!rest.empty() && tokenizer_.is_special(rest[0]))
    ids_.insert(ids_.end(), rest.begin(), rest.end());
  else
    ids_ = encode_whole(prompt);
  text_ = std::move(prompt);
  return ids_;
}

void Conversation::answered(const std::string& text, std::span<const std::int32_t> ids) {
  messages_.push_back({{"role", "assistant"}, {"content", text}});
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
    return message.is_object() && message.contains("role") && message["role"].is_string() &&
           message.contains("content") && message["content"].is_string();
  };
  if (!messages.is_array()) fail("expected a JSON array of messages");
  for (std::size_t i = 0; i < messages.size(); ++i)
    if (!well_formed(messages[i])) fail("message {}: expected texts \"role\" and \"content\"", i);
  messages_ = std::move(messages);
}

std::vector<std::int32_t> Conversation::encode_whole(const std::string& text) const {
  std::vector<std::int32_t> ids = tokenizer_.encode(text, {.add_special = false});
  const std::int32_t bos = tokenizer_.bos();  // most templates write it themselves
  if (tokenizer_.add_bos() && bos >= 0 && (ids.empty() || ids[0] != bos)) ids.insert(ids.begin(), bos);
  return ids;
}

}  // namespace rf
