#include "chat/message_parser.h"

#include <string>

#include "chat/dialect/builder.h"
#include "chat/dialect/text_parser.h"

namespace rf {

MessageParser::MessageParser(const Dialect& dialect, const MessageParserOptions& options)
    : builder_(std::make_unique<MessageBuilder>(options.tools, options.id_seed)),
      parser_(dialect.calls->body == CallFormat::Body::channels
                  ? dialect::make_channel_parser(options.prompt, *builder_)
                  : dialect::make_block_parser(dialect, options.prompt, *builder_)) {}

MessageParser::~MessageParser() = default;
MessageParser::MessageParser(MessageParser&&) noexcept = default;
MessageParser& MessageParser::operator=(MessageParser&&) noexcept = default;

std::vector<MessageDelta> MessageParser::feed(std::string_view text) {
  held_ += text;
  std::string_view rest = held_;
  parser_->parse(rest, false);
  held_.erase(0, held_.size() - rest.size());
  return builder_->take();
}

std::vector<MessageDelta> MessageParser::finish() {
  std::string_view rest = held_;
  parser_->parse(rest, true);
  held_.clear();
  return builder_->take();
}

const Message& MessageParser::message() const {
  return builder_->message();
}

}  // namespace rf
