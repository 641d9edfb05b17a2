// Conversation: the messages of a chat, and the prompt that each new one makes with the model's template.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "chat/dialect.h"
#include "chat/message.h"
#include "chat/template_needs.h"
#include "text/tokenizer.h"

namespace rf {

// The file's own chat template; where it has none, one that suits its special tokens, with a line in the log.
std::string chat_template_source(const Gguf& file, const Tokenizer& tokenizer);

class Conversation {
 public:
  // Throws Error naming `file` where its template cannot be parsed. `tools`: an array in OpenAI's form, or
  // null.
  Conversation(const Gguf& file, const Tokenizer& tokenizer,  // both must outlive it
               nlohmann::ordered_json tools = {});

  void set_system(const std::string& text);  // "" removes it
  void reset();                              // forgets all messages but the system's

  // Adds a user's message and returns the prompt for its answer. Where the last prompt and its answer are the
  // beginning of the new prompt's text, their very ids are its beginning, so that all of them are found in
  // the prefix cache. Throws Error, having forgotten the message, when the template refuses it.
  std::vector<std::int32_t> ask(const std::string& text);
  // Adds what a tool gave for the first call that has no result yet, and returns the prompt, or nothing where
  // other calls wait for theirs. Throws Error as ask() does, and where no call waits.
  std::optional<std::vector<std::int32_t>> result(const std::string& text);
  // The answer: the message to keep and the ids that were generated.
  void answered(const Message& message, std::span<const std::int32_t> ids);
  void take_back();  // the last message, which got no answer

  const Dialect& dialect() const { return dialect_; }
  const nlohmann::ordered_json& tools() const { return tools_; }
  const std::string& prompt() const { return text_; }  // the text of the last one, before it was answered

  const nlohmann::ordered_json& messages() const { return messages_; }
  // Replaces all messages. Throws Error when it is not an array of {"role": text, "content": text}; beside
  // tool_calls content may be missing.
  void set_messages(nlohmann::ordered_json messages);

 private:
  std::vector<std::int32_t> render();
  // The ids of what `prompt` adds to text_, or none where that cannot be encoded by itself.
  std::vector<std::int32_t> continuation(const std::string& prompt) const;
  std::vector<std::int32_t> encode_whole(const std::string& text) const;

  const Tokenizer& tokenizer_;
  const std::string source_;
  ChatTemplate template_;
  TemplateNeeds needs_;
  Dialect dialect_;
  nlohmann::ordered_json tools_;
  nlohmann::ordered_json messages_;
  std::string text_;               // what ids_ say
  std::vector<std::int32_t> ids_;  // the last prompt and the answer to it
};

}  // namespace rf
