// A call as a name and parameters between marks. Texts are passed on as they come, other values when they are
// whole.
#include <algorithm>
#include <optional>

#include "chat/dialect/call_reader.h"
#include "chat/dialect/literal.h"
#include "chat/dialect/marks.h"

namespace rf::dialect {
namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(white), text.size());
  return text.substr(begin, text.find_last_not_of(white) + 1 - begin);
}

class ParameterCall : public CallReader {
 public:
  ParameterCall(const CallFormat& format, MessageBuilder& builder) : CallReader(format, builder, false) {
    if (!format.value_open.empty()) return;
    next_ = "\n" + std::string(format.parameter_open);
    close_ = "\n" + std::string(format.close);
  }
  Read read(std::string_view& text, bool last) override;

 private:
  enum class At : std::uint8_t { name, between, value };
  static constexpr Read go_on = Read::content;

  Read name(std::string_view& text, bool last);
  Read between(std::string_view& text, bool last);
  // The bytes of a parameter's head, up to its value; 0: it goes on, npos: it is none.
  std::size_t head(std::string_view text, bool last);
  Read value(std::string_view& text, bool last);
  Read over();

  At at_ = At::name;
  std::string name_, key_, captured_;
  std::string next_, close_;  // marks that end a value that was not closed
  bool first_ = true, text_ = false;
  bool begun_ = false, line_ = false;  // of a value: its first byte was seen; that was the end of a line
};

Read ParameterCall::read(std::string_view& text, bool last) {
  while (true) {
    const Read result = at_ == At::name      ? name(text, last)
                        : at_ == At::between ? between(text, last)
                                             : value(text, last);
    if (result != go_on) return result;
  }
}

Read ParameterCall::name(std::string_view& text, bool last) {
  const std::string_view marks[] = {format_.name_end, format_.parameter_open, format_.close};
  const MarkMatch match = find_mark(text, marks, last);
  if (match.begin > longest_name) return Read::none;
  if (match.mark < 0) return last ? Read::none : Read::more;
  name_ = trimmed(text.substr(0, match.begin));
  if (!is_tool_name(name_)) return Read::none;
  take(text, match.begin + (match.mark == 0 ? format_.name_end.size() : 0));
  if (!announce(name_)) return Read::none;
  builder_.arguments("{");
  at_ = At::between;
  return go_on;
}

Read ParameterCall::over() {
  builder_.arguments("}");
  settle();
  return Read::done;
}

Read ParameterCall::between(std::string_view& text, bool last) {
  skip_space(text);
  if (text.empty()) return last ? over() : Read::more;
  const Begins close = begins_with(text, format_.close, last);
  const Begins parameter = begins_with(text, format_.parameter_open, last);
  if (close == Begins::unknown || parameter == Begins::unknown) return Read::more;
  if (close == Begins::yes || parameter == Begins::no) return over();
  const std::size_t bytes = head(text, last);
  if (bytes == 0) return Read::more;
  if (bytes == std::string_view::npos) return over();
  take(text, bytes);
  builder_.arguments((first_ ? "" : ", ") + json_text(key_) + (text_ ? ": \"" : ": "));
  first_ = begun_ = line_ = false;
  captured_.clear();
  at_ = At::value;
  return go_on;
}

std::size_t ParameterCall::head(std::string_view text, bool last) {
  constexpr std::size_t none = std::string_view::npos;
  std::size_t at = format_.parameter_open.size();
  // Moves `at` past `mark`, which has to come soon; says what head() gives where it does not.
  const auto pass = [&](std::string_view mark) -> std::optional<std::size_t> {
    const std::size_t end = text.substr(0, at + longest_name + mark.size()).find(mark, at);
    if (end == none) return last || text.size() >= at + longest_name + mark.size() ? none : 0;
    at = end + mark.size();
    return std::nullopt;
  };
  const std::size_t key = at;
  if (const auto stop = pass(format_.key_end)) return *stop;
  key_ = trimmed(text.substr(key, at - format_.key_end.size() - key));
  text_ = only_text(builder_.tools().parameter(name_, key_));
  if (!format_.typed_end.empty()) {
    text_ = text.substr(at).starts_with("true");
    if (const auto stop = pass(format_.typed_end)) return *stop;
  }
  if (format_.value_open.empty()) return at;
  const std::size_t gap = at;
  if (const auto stop = pass(format_.value_open)) return *stop;
  return trimmed(text.substr(gap, at - gap)) == format_.value_open ? at : none;
}

Read ParameterCall::value(std::string_view& text, bool last) {
  if (text.empty()) return Read::more;
  if (!begun_) {
    begun_ = true;
    line_ = text[0] == '\n';
    if (line_) take(text, 1);
  }
  // A value that is not closed ends where the next parameter, or the call's end, stands on a line of its own.
  const std::string_view marks[] = {format_.value_close, next_, close_};
  const MarkMatch match = find_mark(text, marks, last);
  std::string_view part = text.substr(0, match.begin);
  const bool whole = match.mark >= 0, closed = match.mark == 0;
  // A value that begins on a line of its own ends with one.
  const bool line_end = line_ && part.ends_with('\n') && (closed || (!whole && !last));
  if (line_end) part.remove_suffix(1);
  if (text_)
    builder_.arguments(json_escaped(part));
  else
    captured_ += part;
  take(text, part.size() + (closed ? (line_end ? 1 : 0) + format_.value_close.size() : 0));
  if (!whole) return Read::more;
  builder_.arguments(text_ ? "\"" : value_of(captured_, builder_.tools().parameter(name_, key_)));
  at_ = At::between;
  return go_on;
}

}  // namespace

std::unique_ptr<CallReader> make_parameter_reader(const CallFormat& format, MessageBuilder& builder) {
  return std::make_unique<ParameterCall>(format, builder);
}

}  // namespace rf::dialect
