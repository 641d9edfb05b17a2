#include <algorithm>
#include <array>

#include "chat/dialect/call_reader.h"
#include "chat/dialect/marks.h"
#include "chat/dialect/text_parser.h"

namespace rf::dialect {
namespace {

constexpr std::size_t longest_space = 64;  // bytes of white space that can be a mark's, not the text's

constexpr ReasoningFormat no_reasoning{};

class BlockParser : public TextParser {
 public:
  BlockParser(const Dialect& dialect, std::string_view prompt, MessageBuilder& builder);
  void parse(std::string_view& text, bool last) override;

 private:
  enum class At : std::uint8_t { content, reasoning, section, call, closing };
  enum : int { reasoning_mark, section_mark, call_mark, frame_mark, frame_end_mark };
  using Marks = std::array<std::string_view, 5>;

  // Each returns false where it needs more text.
  bool content(std::string_view& text, bool last);
  bool bare_call(std::string_view& text);
  Marks marks_now() const;
  void opened(int mark);
  bool reasoning(std::string_view& text, bool last);
  bool section(std::string_view& text, bool last);
  bool call(std::string_view& text, bool last);
  bool closing(std::string_view& text, bool last);

  void take_space(std::string_view& text);  // of the layout of calls
  bool skip_space(std::string_view& text);  // where a mark came last; false: nothing is left
  void begin_call(bool bare);
  void end_calls();
  void give_up();  // what was taken for calls is content

  const CallFormat& calls_;
  const ReasoningFormat& reasoning_;
  MessageBuilder& builder_;
  Marks marks_;
  At at_ = At::content;
  std::string taken_;  // marks of calls, and space before them, of which no call has come yet
  bool after_mark_ = false;
  bool said_ = false;  // there was content since the beginning, or since the last call
  bool framed_ = false, bare_ = false, in_section_ = false;
  bool answered_ = false;  // a call of the section has come
  std::unique_ptr<CallReader> reader_;
};

std::string_view trimmed(std::string_view text) {
  return text.substr(0, text.find_last_not_of(white) + 1);
}

// How much of `text`, which more may follow, is certainly not white space before a mark. The same however the
// text is cut: long space counts as text by whole lengths.
std::size_t settled(std::string_view text) {
  return text.size() - (text.size() - trimmed(text).size()) % (longest_space + 1);
}

BlockParser::BlockParser(const Dialect& dialect, std::string_view prompt, MessageBuilder& builder)
    : calls_(*dialect.calls),
      reasoning_(dialect.reasoning != nullptr ? *dialect.reasoning : no_reasoning),
      builder_(builder) {
  const bool calls = !builder.tools().empty() || !calls_.content_name.empty();
  marks_ = {reasoning_.open, calls ? calls_.section_open : "", calls ? calls_.open : "", reasoning_.frames[0],
            reasoning_.frames[1]};
  framed_ = reasoning_.frames[0].empty();
  after_mark_ = true;
  if (ends_with_mark(prompt, reasoning_.open))
    at_ = At::reasoning;
  else if (calls && ends_with_mark(prompt, calls_.open))
    begin_call(calls_.bare);
  else
    after_mark_ = ends_with_mark(prompt, reasoning_.close);
}

void BlockParser::parse(std::string_view& text, bool last) {
  bool more = true;
  while (more) switch (at_) {
      case At::content:
        more = content(text, last);
        break;
      case At::reasoning:
        more = reasoning(text, last);
        break;
      case At::section:
        more = section(text, last);
        break;
      case At::call:
        more = call(text, last);
        break;
      case At::closing:
        more = closing(text, last);
        break;
    }
}

bool BlockParser::skip_space(std::string_view& text) {
  if (!after_mark_) return !text.empty();
  text.remove_prefix(std::min(text.find_first_not_of(white), text.size()));
  if (text.empty()) return false;
  after_mark_ = false;
  return true;
}

bool BlockParser::content(std::string_view& text, bool last) {
  if (!skip_space(text) || bare_call(text)) return at_ != At::content;
  const auto marks = marks_now();
  const MarkMatch match = find_mark(text, marks, last);
  const std::string_view before = text.substr(0, match.begin);
  const std::size_t length = last && match.mark < 0 ? before.size() : settled(before);
  if (length > 0) {
    builder_.content(before.substr(0, length));
    said_ = true;
    text.remove_prefix(length);
    return true;  // what has been said changes what the rest means
  }
  if (match.mark < 0) return false;
  const std::size_t taken = match.begin + marks[static_cast<std::size_t>(match.mark)].size();
  if (match.mark == section_mark || match.mark == call_mark) taken_ = text.substr(0, taken);
  text.remove_prefix(taken);
  opened(match.mark);
  return true;
}

// Reasoning and the answer's frame come before all else: later their marks are only spoken of.
BlockParser::Marks BlockParser::marks_now() const {
  Marks marks = marks_;
  if (said_) marks[reasoning_mark] = marks[frame_mark] = "";
  if (!framed_) marks[frame_end_mark] = "";
  return marks;
}

// Some models write calls without any mark, and nothing but calls then.
bool BlockParser::bare_call(std::string_view& text) {
  if (!calls_.bare || said_ || marks_[call_mark].empty()) return false;
  const std::size_t begin = text.find_first_not_of(white);
  if (begin == std::string_view::npos) return false;
  const bool begins = calls_.body == CallFormat::Body::named_json
                          ? builder_.tools().has_beginning(text.substr(begin, 1))
                          : text[begin] == '{' || text[begin] == '[';
  if (!begins) return false;
  taken_ = text.substr(0, begin);
  text.remove_prefix(begin);
  begin_call(true);
  return true;
}

void BlockParser::opened(int mark) {
  after_mark_ = true;
  if (mark == reasoning_mark) at_ = At::reasoning;
  if (mark == section_mark) at_ = At::section, in_section_ = true, answered_ = false;
  if (mark == call_mark) begin_call(false);
  if (mark == frame_mark) framed_ = true;
}

bool BlockParser::reasoning(std::string_view& text, bool last) {
  if (!skip_space(text)) return false;
  const MarkMatch match = find_mark(text, {&reasoning_.close, 1}, last);
  const std::string_view before = text.substr(0, match.begin);
  const std::size_t length = last && match.mark < 0 ? before.size() : settled(before);
  builder_.reasoning(before.substr(0, length));
  if (match.mark < 0) {
    text.remove_prefix(length);
    return false;
  }
  text.remove_prefix(match.begin + reasoning_.close.size());
  at_ = At::content;
  after_mark_ = true;
  return true;
}

// Between the calls of a section.
bool BlockParser::section(std::string_view& text, bool last) {
  take_space(text);
  const Begins call = begins_with(text, calls_.open, last);
  const Begins end = answered_ ? begins_with(text, calls_.section_close, last) : Begins::no;
  if (!last && (text.empty() || call == Begins::unknown || end == Begins::unknown)) return false;
  if (call == Begins::yes) {
    taken_ += calls_.open;
    text.remove_prefix(calls_.open.size());
    begin_call(false);
    return true;
  }
  if (end == Begins::yes) text.remove_prefix(calls_.section_close.size());
  if (answered_)
    end_calls();
  else
    give_up();
  return true;
}

void BlockParser::take_space(std::string_view& text) {
  const std::size_t space = std::min(text.find_first_not_of(white), text.size());
  if (!answered_) taken_ += text.substr(0, space);
  text.remove_prefix(space);
}

void BlockParser::begin_call(bool bare) {
  at_ = At::call;
  bare_ = bare;
  reader_ = nullptr;
}

bool BlockParser::call(std::string_view& text, bool last) {
  if (reader_ == nullptr) {
    const std::size_t space = std::min(text.find_first_not_of(white), text.size());
    taken_ += text.substr(0, space);
    text.remove_prefix(space);
    if (!text.empty()) reader_ = make_reader(calls_, builder_, bare_, text, last);
    if (reader_ == nullptr && last) give_up();
    return reader_ != nullptr || last;
  }
  const std::size_t calls = builder_.message().tool_calls.size();
  const Read result = reader_->read(text, last);
  if (builder_.message().tool_calls.size() > calls) {
    answered_ = true;
    said_ = false;
    taken_.clear();
  }
  if (result == Read::more && !last) return false;
  if (result == Read::content) {
    at_ = At::content;
    taken_.clear();
    after_mark_ = true;
    return true;
  }
  if (result == Read::done) {
    at_ = At::closing;
    taken_.clear();
    return true;
  }
  taken_ += reader_->pending();
  if (!taken_.empty()) give_up();
  at_ = At::content;
  return true;
}

// The mark that closes a call, perhaps after brackets too many, or a fence's end.
bool BlockParser::closing(std::string_view& text, bool last) {
  take_space(text);
  const std::size_t strays = std::min({text.find_first_not_of(" \t\r\n}]`"), text.size(), longest_space});
  std::size_t stray = 0;
  Begins close = begins_with(text, calls_.close, last);
  while (close == Begins::no && stray < strays) close = begins_with(text.substr(++stray), calls_.close, last);
  if (close == Begins::unknown) return false;
  if (close == Begins::yes) text.remove_prefix(stray + calls_.close.size());
  if (in_section_)
    at_ = At::section;
  else
    end_calls();
  return true;
}

void BlockParser::end_calls() {
  at_ = At::content;
  in_section_ = false;
  after_mark_ = true;
}

void BlockParser::give_up() {
  builder_.content(taken_);
  said_ = said_ || !taken_.empty();
  taken_.clear();
  in_section_ = false;
  at_ = At::content;
  after_mark_ = false;
}

}  // namespace

std::unique_ptr<TextParser> make_block_parser(const Dialect& dialect, std::string_view prompt,
                                              MessageBuilder& builder) {
  return std::make_unique<BlockParser>(dialect, prompt, builder);
}

}  // namespace rf::dialect
