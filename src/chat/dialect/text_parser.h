// TextParser: takes a generated text apart. BlockParser: by marks around reasoning and calls; ChannelParser:
// by the headers of messages.
#pragma once
#include <memory>
#include <span>
#include <string_view>

#include "chat/dialect.h"
#include "chat/dialect/builder.h"

namespace rf::dialect {

class TextParser {
 public:
  virtual ~TextParser() = default;
  // Takes from the front of `text` what can be judged; `last`: no more text comes.
  virtual void parse(std::string_view& text, bool last) = 0;
};

std::unique_ptr<TextParser> make_block_parser(const Dialect& dialect, std::string_view prompt,
                                              MessageBuilder& builder);
std::unique_ptr<TextParser> make_channel_parser(std::string_view prompt, MessageBuilder& builder);
std::span<const std::string_view> channel_marks();

}  // namespace rf::dialect
