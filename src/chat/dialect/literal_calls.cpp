// Calls as name(key=value, ...), alone or in a list, and as name{key:value,...}.
#include <algorithm>
#include <cctype>

#include "chat/dialect/call_reader.h"
#include "chat/dialect/literal.h"
#include "chat/dialect/marks.h"

namespace rf::dialect {
namespace {

bool in_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.' || c == ':' ||
         static_cast<unsigned char>(c) >= 0x80;
}

class LiteralCalls : public CallReader {
 public:
  LiteralCalls(const CallFormat& format, MessageBuilder& builder, bool bare)
      : CallReader(format, builder, bare),
        braces_(format.body == CallFormat::Body::braces),
        scanner_(format.quote) {}
  Read read(std::string_view& text, bool last) override;

 private:
  enum class At : std::uint8_t { start, key, value, between };
  static constexpr Read go_on = Read::content;

  Read step(std::string_view& text, bool last);
  Read start(std::string_view& text, bool last);
  Read key(std::string_view& text, bool last);
  Read value(std::string_view& text, bool last);
  Read between(std::string_view& text);
  Read finish_call();  // closes the object of arguments

  const bool braces_;
  At at_ = At::start;
  bool list_ = false, first_ = true;
  std::string name_, key_, captured_;
  LiteralScanner scanner_;
};

Read LiteralCalls::read(std::string_view& text, bool last) {
  while (true)
    if (const Read result = step(text, last); result != go_on) return result;
}

Read LiteralCalls::step(std::string_view& text, bool last) {
  if (at_ != At::value) skip_space(text);
  if (text.empty() && at_ != At::value) return last && at_ == At::between ? Read::done : Read::more;
  switch (at_) {
    case At::start:
      return start(text, last);
    case At::key:
      return key(text, last);
    case At::value:
      return value(text, last);
    case At::between:
      return between(text);
  }
  return Read::none;
}

Read LiteralCalls::start(std::string_view& text, bool last) {
  if (text[0] == '[' && !list_ && !braces_) {
    list_ = true;
    take(text, 1);
    return go_on;
  }
  const auto end = static_cast<std::size_t>(std::ranges::find_if_not(text, in_name) - text.begin());
  if (end == 0 || end > longest_name) return Read::none;
  if (end == text.size()) return last ? Read::none : Read::more;
  if (text[end] != (braces_ ? '{' : '(')) return Read::none;
  name_ = text.substr(0, end);
  take(text, end + 1);
  if (!name_.starts_with(format_.name_prefix)) return Read::none;
  name_.erase(0, format_.name_prefix.size());
  constexpr std::string_view method = ".call";  // of Llama 3's own tools
  if (!braces_ && name_.ends_with(method)) name_.resize(name_.size() - method.size());
  if (!announce(name_)) return Read::none;
  builder_.arguments("{");
  first_ = true;
  at_ = At::key;
  return go_on;
}

Read LiteralCalls::key(std::string_view& text, bool last) {
  if (text[0] == (braces_ ? '}' : ')')) {
    take(text, 1);
    return finish_call();
  }
  auto end = static_cast<std::size_t>(
      std::ranges::find_if_not(
          text, [&](char c) { return (in_name(c) && c != ':') || c == '"' || c == '\'' || c == ' '; }) -
      text.begin());
  if (end == text.size() && end <= longest_name && !last) return Read::more;
  if (end == 0 || end >= text.size() || end > longest_name || text[end] != (braces_ ? ':' : '=')) {
    finish_call();
    return Read::done;
  }
  key_ = text.substr(0, end);
  std::erase_if(key_, [](char c) { return c == '"' || c == '\'' || c == ' '; });
  take(text, end + 1);
  builder_.arguments((first_ ? "" : ", ") + json_text(key_) + ": ");
  first_ = false;
  captured_.clear();
  scanner_ = LiteralScanner(format_.quote);
  at_ = At::value;
  return go_on;
}

Read LiteralCalls::value(std::string_view& text, bool last) {
  const std::size_t bytes = scanner_.scan(text, last);
  captured_ += text.substr(0, bytes);
  take(text, bytes);
  if (!scanner_.done()) return Read::more;
  if (const auto value = parse_literal(captured_, format_.quote))
    builder_.arguments(value->dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  else
    builder_.arguments(value_of(captured_, builder_.tools().parameter(name_, key_)));
  if (text[0] == ',') take(text, 1);
  at_ = At::key;
  return go_on;
}

Read LiteralCalls::finish_call() {
  builder_.arguments("}");
  settle();
  at_ = At::between;
  return go_on;
}

Read LiteralCalls::between(std::string_view& text) {
  if (list_ && text[0] == ']') {
    take(text, 1);
    return Read::done;
  }
  if (text[0] == ',' && list_)
    take(text, 1);
  else if (list_ || braces_ || bare_ || !in_name(text[0]))
    return Read::done;
  at_ = At::start;
  return go_on;
}

}  // namespace

std::unique_ptr<CallReader> make_literal_reader(const CallFormat& format, MessageBuilder& builder,
                                                bool bare) {
  return std::make_unique<LiteralCalls>(format, builder, bare);
}

}  // namespace rf::dialect
