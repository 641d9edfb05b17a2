// A call as a name, perhaps an id, and a JSON object, with marks between them.
#include <algorithm>

#include "chat/dialect/call_reader.h"
#include "chat/dialect/marks.h"

namespace rf::dialect {
namespace {

class NamedCall : public CallReader {
 public:
  NamedCall(const CallFormat& format, MessageBuilder& builder, bool bare)
      : CallReader(format, builder, bare), at_(format.name_begin.empty() ? At::name : At::before) {}
  Read read(std::string_view& text, bool last) override;

 private:
  enum class At : std::uint8_t { before, name, id, object, arguments };
  static constexpr Read go_on = Read::content;

  Read step(std::string_view& text, bool last);
  // Takes what stands before one of `marks` as `part`, and the mark; sets `found` to its index.
  Read part(std::string_view& text, bool last, std::span<const std::string_view> marks, std::string& part,
            int& found);
  Read name(std::string_view& text, bool last);
  Read object(std::string_view& text, bool last);

  At at_;
  std::string name_, id_;
  bool opened_ = false;
  int fence_ = 0;  // bytes of a fence of Markdown
  ArgumentStream arguments_;
};

Read NamedCall::read(std::string_view& text, bool last) {
  while (true) {
    const Read result = step(text, last);
    // The loop's own sign to go on, but for the name that stands for content.
    if (result != go_on || (at_ == At::object && name_ == format_.content_name && !name_.empty()))
      return result;
  }
}

Read NamedCall::step(std::string_view& text, bool last) {
  int found = -1;
  std::string skipped;
  switch (at_) {
    case At::before:
      if (const Read result = part(text, last, {&format_.name_begin, 1}, skipped, found); result != go_on)
        return result;
      at_ = At::name;
      return go_on;
    case At::name:
      return name(text, last);
    case At::id:
      if (const Read result = part(text, last, {&format_.arguments_open, 1}, id_, found); result != go_on)
        return result;
      at_ = At::object;
      opened_ = true;
      return go_on;
    case At::object:
      return object(text, last);
    case At::arguments:
      take(text, arguments_.pass(text, format_.close, last, builder_));
      return arguments_.done() ? Read::done : Read::more;
  }
  return Read::none;
}

Read NamedCall::part(std::string_view& text, bool last, std::span<const std::string_view> marks,
                     std::string& part, int& found) {
  const MarkMatch match = find_mark(text, marks, last);
  const std::size_t bytes = std::min(match.begin, longest_name + 1 - part.size());
  part += text.substr(0, bytes);
  take(text, bytes);
  if (part.size() > longest_name) return Read::none;
  if (bare_ && !builder_.tools().has_beginning(part)) return Read::none;
  if (match.mark < 0) return Read::more;
  found = match.mark;
  take(text, marks[static_cast<std::size_t>(found)].size());
  const std::size_t begin = std::min(part.find_first_not_of(white), part.size());
  part = part.substr(begin, part.find_last_not_of(white) + 1 - begin);
  return go_on;
}

Read NamedCall::name(std::string_view& text, bool last) {
  const std::string_view marks[] = {format_.name_end, format_.id_open};
  int found = -1;
  if (const Read result = part(text, last, marks, name_, found); result != go_on) return result;
  at_ = found == 1 ? At::id : At::object;
  if (!is_tool_name(name_)) return Read::none;
  if (format_.name_is_id) {
    id_ = name_;
    const std::size_t colon = name_.rfind(':');
    if (colon != std::string::npos && name_.find_first_not_of("0123456789", colon + 1) == std::string::npos)
      name_.resize(colon);
  }
  if (name_.starts_with(format_.name_prefix)) name_.erase(0, format_.name_prefix.size());
  return Read::content;
}

Read NamedCall::object(std::string_view& text, bool last) {
  skip_space(text);
  if (text.empty()) return Read::more;
  if (!opened_ && !format_.arguments_open.empty()) {
    const Begins begins = begins_with(text, format_.arguments_open, last);
    if (begins == Begins::unknown) return Read::more;
    if (begins == Begins::yes) take(text, format_.arguments_open.size());
    opened_ = true;
    return go_on;
  }
  constexpr std::string_view fence = "```json";
  if (fence_ < static_cast<int>(fence.size()) && text[0] == fence[static_cast<std::size_t>(fence_)]) {
    ++fence_;
    take(text, 1);
    return go_on;
  }
  if (text[0] != '{' || !announce(name_, id_)) return Read::none;
  at_ = At::arguments;
  return go_on;
}

}  // namespace

std::unique_ptr<CallReader> make_named_reader(const CallFormat& format, MessageBuilder& builder, bool bare) {
  return std::make_unique<NamedCall>(format, builder, bare);
}

}  // namespace rf::dialect
