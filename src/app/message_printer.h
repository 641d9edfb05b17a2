// MessagePrinter: shows a message on stdout as it comes: content as it is, reasoning where it is wanted,
// calls one a line as name(arguments).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "chat/message.h"

namespace rf {

// What a terminal shows of `text`, and does nothing else with: control characters but line ends and tabs
// become U+FFFD, since a model or a file could make it do anything with them. Whole UTF-8 characters.
std::string for_terminal(std::string_view text);

class MessagePrinter {
 public:
  // `styled`: for a terminal. `reasoning`: show it.
  MessagePrinter(bool styled, bool reasoning) : styled_(styled), reasoning_(reasoning) {}
  void print(const std::vector<MessageDelta>& deltas);
  void finish();  // ends the line

 private:
  void turn_to(const MessageDelta& delta);
  void write(std::string_view text);

  const bool styled_, reasoning_;
  bool begun_ = false, line_open_ = false;
  MessageDelta::Kind kind_ = MessageDelta::Kind::content;
};

}  // namespace rf
