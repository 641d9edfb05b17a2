// MessageParser: from the text that a model generates, piece by piece, to the message that it stands for.
#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "chat/dialect.h"
#include "chat/message.h"

namespace rf {

class MessageBuilder;

namespace dialect {
class TextParser;
}

struct MessageParserOptions {
  // The rendered prompt, or its last few hundred bytes: a reply may begin inside of what it opens
  // ("<think>").
  std::string_view prompt;
  // The tools the prompt offers, an array in OpenAI's form; null or empty: calls are not looked for. They
  // tell strings from numbers where a dialect does not.
  nlohmann::ordered_json tools = {};
  std::uint64_t id_seed = 0;  // of made-up ids; 0: random
};

// However the text is cut into pieces, the deltas add up to the same message. White space beside the marks of
// a dialect is part of its layout; a call that turns out to be none is content, marks included. Never throws
// for what the model wrote.
class MessageParser {
 public:
  // `dialect` must outlive it.
  explicit MessageParser(const Dialect& dialect, const MessageParserOptions& options = {});
  ~MessageParser();
  MessageParser(MessageParser&&) noexcept;
  MessageParser& operator=(MessageParser&&) noexcept;

  // More of the text, as generated, with the texts of the special tokens that Dialect::shows() asks for.
  std::vector<MessageDelta> feed(std::string_view text);
  std::vector<MessageDelta> finish();  // no more text comes

  const Message& message() const;  // all of it so far

 private:
  std::unique_ptr<MessageBuilder> builder_;
  std::unique_ptr<dialect::TextParser> parser_;
  std::string held_;  // text that waits for more
};

}  // namespace rf
