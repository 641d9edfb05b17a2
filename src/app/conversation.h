// Conversation: the messages of a chat, and the prompt that each new one makes with the model's template.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "text/tokenizer.h"

namespace rf {

// The file's own chat template; where it has none, one that suits its special tokens, with a line in the log.
std::string chat_template_source(const Gguf& file, const Tokenizer& tokenizer);

class Conversation {
 public:
  // Throws Error naming `file` where its template cannot be parsed.
  Conversation(const Gguf& file, const Tokenizer& tokenizer);  // both must outlive it

  void set_system(const std::string& text);  // "" removes it
  void reset();                              // forgets all messages but the system's

  // Adds a user's message and returns the prompt for its answer. Where the last prompt and its answer are the
  // beginning of the new prompt's text, their very ids are its beginning, so that all of them are found in
  // the prefix cache. Throws Error, having forgotten the message, when the template refuses it.
  std::vector<std::int32_t> ask(const std::string& text);
  // The answer to it: the text to keep and the ids that were generated.
  void answered(const std::string& text, std::span<const std::int32_t> ids);
  void take_back();  // the last message, which got no answer

  const nlohmann::ordered_json& messages() const { return messages_; }
  // Replaces all messages. Throws Error when it is not an array of {"role": text, "content": text}.
  void set_messages(nlohmann::ordered_json messages);

 private:
  std::vector<std::int32_t> encode_whole(const std::string& text) const;

  const Tokenizer& tokenizer_;
  ChatTemplate template_;
  nlohmann::ordered_json messages_;
  std::string text_;               // what ids_ say
  std::vector<std::int32_t> ids_;  // the last prompt and the answer to it
};

}  // namespace rf
