// OpenAI's Harmony format: messages of a header (a role, a channel, a recipient) and a body. The channel
// "analysis" is reasoning, a recipient makes it a call, all else is content.
// https://cookbook.openai.com/articles/openai-harmony
#include <algorithm>
#include <cctype>

#include "chat/dialect/call_reader.h"
#include "chat/dialect/marks.h"
#include "chat/dialect/text_parser.h"

namespace rf::dialect {
namespace {

enum : int { start_mark, channel_mark, message_mark, end_mark, call_mark, return_mark };
constexpr std::string_view harmony_marks[] = {"<|start|>", "<|channel|>", "<|message|>",  "<|end|>",
                                              "<|call|>",  "<|return|>",  "<|constrain|>"};
constexpr std::string_view function_prefix = "functions.";
constexpr std::size_t longest_header = 512;

class ChannelParser : public TextParser {
 public:
  ChannelParser(std::string_view prompt, MessageBuilder& builder)
      : builder_(builder), at_(prompt.ends_with("<|start|>assistant") ? At::header : At::between) {}
  void parse(std::string_view& text, bool last) override;

 private:
  enum class At : std::uint8_t { between, header, body };
  enum class Kind : std::uint8_t { content, reasoning, call };

  // Each returns false where it needs more text.
  bool between(std::string_view& text, bool last);
  bool header(std::string_view& text, bool last);
  bool body(std::string_view& text, bool last);
  void open(std::string_view header);
  void give(std::string_view text, bool last);
  std::string_view call_text(std::string_view text, bool last);

  MessageBuilder& builder_;
  At at_;
  Kind kind_ = Kind::content;
  bool begun_ = false;  // the body has given text
  bool json_ = false;   // a call's body is JSON
  ArgumentStream arguments_;
};

void ChannelParser::parse(std::string_view& text, bool last) {
  bool more = true;
  while (more)
    more = at_ == At::between  ? between(text, last)
           : at_ == At::header ? header(text, last)
                               : body(text, last);
}

bool ChannelParser::between(std::string_view& text, bool last) {
  text.remove_prefix(std::min(text.find_first_not_of(white), text.size()));
  if (text.empty()) return false;
  const Begins start = begins_with(text, harmony_marks[start_mark], last);
  const Begins channel = begins_with(text, harmony_marks[channel_mark], last);
  if (start == Begins::unknown || channel == Begins::unknown) return false;
  at_ = start == Begins::yes || channel == Begins::yes ? At::header : At::body;
  kind_ = Kind::content;
  begun_ = false;
  return true;
}

// A text without a header is content, marks included.
bool ChannelParser::header(std::string_view& text, bool last) {
  const std::size_t first = text.find_first_not_of(white);
  if (first == std::string_view::npos) {
    if (last) at_ = At::body;
    return last;
  }
  Begins opens = begins_with(text.substr(first), "to=", last);
  for (const int mark : {start_mark, channel_mark, message_mark})
    opens = std::max(opens, begins_with(text.substr(first), harmony_marks[mark], last));
  const std::size_t end = text.substr(0, longest_header).find(harmony_marks[message_mark]);
  const bool wait = end == std::string_view::npos && text.size() < longest_header && !last;
  if (opens != Begins::no && wait) return false;
  if (opens == Begins::yes && end != std::string_view::npos) {
    open(text.substr(0, end));
    text.remove_prefix(end + harmony_marks[message_mark].size());
  } else {
    kind_ = Kind::content;
    begun_ = true;  // so that nothing comes between
    // One mark at least is text now, or it would be looked for again.
    const std::size_t bytes = text[first] == '<' ? std::min(text.find('>') + 1, text.size()) : 0;
    builder_.content(text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
  at_ = At::body;
  return true;
}

// The object of arguments; what is left after it is content. Other languages than JSON pass as they are.
std::string_view ChannelParser::call_text(std::string_view text, bool last) {
  if (!begun_ || arguments_.done()) text.remove_prefix(std::min(text.find_first_not_of(white), text.size()));
  if (text.empty()) return text;
  if (!begun_) json_ = text[0] == '{';
  if (!json_) return text;
  begun_ = true;
  if (!arguments_.done()) {
    text.remove_prefix(arguments_.pass(text, "", last, builder_));
    return arguments_.done() ? call_text(text, last) : text;
  }
  kind_ = Kind::content;
  begun_ = false;
  return text;
}

std::string_view word_at(std::string_view text, std::size_t at) {
  const std::string_view rest = text.substr(std::min(at, text.size()));
  return rest.substr(0, rest.find_first_of(" \t\r\n<"));
}

void ChannelParser::open(std::string_view header) {
  const std::size_t channel = header.find(harmony_marks[channel_mark]);
  std::size_t to = header.find(" to=");
  to = to == std::string_view::npos ? (header.starts_with("to=") ? 3 : to) : to + 4;
  begun_ = false;
  kind_ = Kind::content;
  if (channel != std::string_view::npos &&
      word_at(header, channel + harmony_marks[channel_mark].size()) == "analysis")
    kind_ = Kind::reasoning;
  if (to == std::string_view::npos) return;
  std::string_view name = word_at(header, to);
  if (name.starts_with(function_prefix)) name.remove_prefix(function_prefix.size());
  if (!is_tool_name(name) || builder_.tools().empty()) return;
  kind_ = Kind::call;
  arguments_ = {};
  builder_.begin_call(name, "");
}

bool ChannelParser::body(std::string_view& text, bool last) {
  const MarkMatch match = find_mark(text, harmony_marks, last);
  give(text.substr(0, match.begin), last);
  text.remove_prefix(match.begin);
  if (match.mark < 0) return false;
  if (kind_ == Kind::call && !begun_) builder_.arguments("{}");
  if (match.mark != start_mark && match.mark != channel_mark)
    text.remove_prefix(harmony_marks[static_cast<std::size_t>(match.mark)].size());
  at_ = At::between;
  return true;
}

// Messages of one kind are kept apart by the end of a line.
void ChannelParser::give(std::string_view text, bool last) {
  if (kind_ == Kind::call) text = call_text(text, last);
  if (text.empty()) return;
  const Message& message = builder_.message();
  if (kind_ == Kind::call) {
    builder_.arguments(text);
  } else if (kind_ == Kind::reasoning) {
    builder_.reasoning(begun_ || message.reasoning.empty() ? "" : "\n");
    builder_.reasoning(text);
  } else {
    builder_.content(begun_ || message.content.empty() ? "" : "\n");
    builder_.content(text);
  }
  begun_ = true;
}

}  // namespace

std::span<const std::string_view> channel_marks() {
  return harmony_marks;
}

std::unique_ptr<TextParser> make_channel_parser(std::string_view prompt, MessageBuilder& builder) {
  return std::make_unique<ChannelParser>(prompt, builder);
}

}  // namespace rf::dialect
