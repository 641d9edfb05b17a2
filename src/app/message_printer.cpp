#include "app/message_printer.h"

#include <cstdio>
#include <string>

namespace rf {
namespace {

using Kind = MessageDelta::Kind;

constexpr std::string_view dim = "\x1b[2m", plain = "\x1b[0m";

}  // namespace

std::string for_terminal(std::string_view text) {
  std::string shown;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    const bool longer = byte == 0xc2 && next >= 0x80 && next < 0xa0;  // U+0080 to U+009F
    if (byte == '\r') continue;  // its line end may come in the next piece
    if (longer || (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f)
      shown += "\xef\xbf\xbd";
    else
      shown += text[i];
    i += longer ? 1 : 0;
  }
  return shown;
}

void MessagePrinter::write(std::string_view text) {
  if (text.empty()) return;
  const std::string shown = styled_ ? for_terminal(text) : std::string(text);
  std::fwrite(shown.data(), 1, shown.size(), stdout);
  line_open_ = !text.ends_with('\n');
}

// What has another kind, or is another call, begins on a line of its own.
void MessagePrinter::turn_to(const MessageDelta& delta) {
  const bool call = delta.kind == Kind::tool_call && !delta.name.empty();
  if (begun_ && delta.kind == kind_ && !call) return;
  if (begun_ && kind_ == Kind::tool_call) write(")");
  if (begun_ && kind_ == Kind::reasoning && styled_) std::fwrite(plain.data(), 1, plain.size(), stdout);
  if (line_open_) write("\n");
  if (begun_ && kind_ == Kind::reasoning) write("\n");
  if (delta.kind == Kind::reasoning && styled_) std::fwrite(dim.data(), 1, dim.size(), stdout);
  kind_ = delta.kind;
  begun_ = true;
  if (call) write(delta.name + "(");
}

void MessagePrinter::print(const std::vector<MessageDelta>& deltas) {
  for (const MessageDelta& delta : deltas) {
    if (delta.kind == Kind::reasoning && !reasoning_) continue;
    turn_to(delta);
    write(delta.text);
  }
  std::fflush(stdout);
}

void MessagePrinter::finish() {
  if (begun_ && kind_ == Kind::tool_call) write(")");
  if (begun_ && kind_ == Kind::reasoning && styled_) std::fwrite(plain.data(), 1, plain.size(), stdout);
  if (line_open_ || !begun_) write("\n");
  std::fflush(stdout);
}

}  // namespace rf
