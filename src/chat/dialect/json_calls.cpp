// Calls as JSON: {"name": ..., "arguments": {...}} by all keys in use, alone, several, or in a list.
#include <algorithm>
#include <array>

#include "chat/dialect/call_reader.h"
#include "chat/dialect/marks.h"

namespace rf::dialect {
namespace {

constexpr std::array<std::string_view, 3> name_keys{"name", "tool_name", "function"};
constexpr std::array<std::string_view, 3> arguments_keys{"arguments", "parameters", "args"};
constexpr std::array<std::string_view, 4> other_keys{"id", "tool_call_id", "call_id", "type"};
constexpr std::size_t longest_value = 256;          // of names and of what says nothing
constexpr std::size_t longest_arguments = 1 << 14;  // that stand before the name

class JsonCalls : public CallReader {
 public:
  using CallReader::CallReader;
  Read read(std::string_view& text, bool last) override;

 private:
  enum class At : std::uint8_t { start, key, colon, value, captured, arguments, after, between };
  using Step = Read;  // more: wait for text; done, none: as read() says; content: go on

  Step step(std::string_view& text, bool last);
  Step start(std::string_view& text);
  Step key(std::string_view& text);
  Step value(std::string_view& text);
  Step captured(std::string_view& text, bool last);
  Step after(std::string_view& text);
  Step between(std::string_view& text, bool last);
  Step end_object();
  Step take_value();
  void capture(At then) { scanner_ = {}, captured_.clear(), at_ = At::captured, then_ = then; }
  bool is_name() const { return std::ranges::find(name_keys, key_) != name_keys.end(); }
  bool is_arguments() const { return std::ranges::find(arguments_keys, key_) != arguments_keys.end(); }

  static constexpr Step go_on = Read::content;

  At at_ = At::start, then_ = At::colon;
  bool fenced_ = false, list_ = false;
  int nested_ = 0;  // objects around the keys, {"function": {...}}
  JsonScanner scanner_;
  ArgumentStream arguments_;
  std::string captured_, key_, name_, id_, early_;  // early_: arguments that stand before the name
};

Read JsonCalls::read(std::string_view& text, bool last) {
  while (true)
    if (const Step result = step(text, last); result != go_on) return result;
}

JsonCalls::Step JsonCalls::step(std::string_view& text, bool last) {
  if (at_ != At::captured && at_ != At::arguments) skip_space(text);
  if (text.empty() && at_ != At::between && at_ != At::captured) return Read::more;
  switch (at_) {
    case At::start:
      return start(text);
    case At::key:
      return key(text);
    case At::colon:
      if (text[0] != ':') return Read::none;
      take(text, 1);
      at_ = At::value;
      return go_on;
    case At::value:
      return value(text);
    case At::captured:
      return captured(text, last);
    case At::arguments:
      take(text, arguments_.pass(text, format_.close, last, builder_));
      if (!arguments_.done()) return Read::more;
      at_ = At::after;
      return go_on;
    case At::after:
      return after(text);
    case At::between:
      return between(text, last);
  }
  return Read::none;
}

// A list or an object, perhaps in a fence of Markdown.
JsonCalls::Step JsonCalls::start(std::string_view& text) {
  const char c = text[0];
  if (c == '`' && !bare_ && pending().size() < longest_value) {
    fenced_ = true;
  } else if (c == '[' && !list_) {
    list_ = true;
  } else if (c == '{') {
    name_.clear(), id_.clear(), early_.clear();
    nested_ = 0;
    at_ = At::key;
  } else if (!fenced_ || list_ || std::string_view("json").find(c) == std::string_view::npos) {
    return Read::none;
  }
  take(text, 1);
  return go_on;
}

JsonCalls::Step JsonCalls::key(std::string_view& text) {
  if (text[0] == '"') {
    capture(At::colon);
    return go_on;
  }
  if (text[0] != '}') return Read::none;
  return after(text);
}

JsonCalls::Step JsonCalls::value(std::string_view& text) {
  if (text[0] == '{' && key_ == "function") {
    take(text, 1);
    ++nested_;
    at_ = At::key;
    return go_on;
  }
  if (is_name() && text[0] != '"') return Read::none;
  if (is_arguments() && text[0] == '{' && !name_.empty() && !announced()) {
    if (!announce(name_, id_)) return Read::none;
    arguments_ = {};
    at_ = At::arguments;
    return go_on;
  }
  capture(At::after);
  return go_on;
}

JsonCalls::Step JsonCalls::captured(std::string_view& text, bool last) {
  const std::size_t longest = then_ == At::after && is_arguments() ? longest_arguments : longest_value;
  const std::size_t bytes = scanner_.scan(text.substr(0, longest + 1 - captured_.size()));
  captured_ += text.substr(0, bytes);
  take(text, bytes);
  if (last && text.empty()) scanner_.end();
  if (captured_.size() > longest) return Read::none;
  return scanner_.done() ? take_value() : Read::more;
}

JsonCalls::Step JsonCalls::take_value() {
  const auto value = nlohmann::ordered_json::parse(captured_, nullptr, false);
  if (value.is_discarded() || captured_.empty()) return Read::none;
  at_ = then_;
  if (then_ == At::colon) {
    key_ = value.get<std::string>();
    const bool known = is_name() || is_arguments() || std::ranges::find(other_keys, key_) != other_keys.end();
    return bare_ && !known ? Read::none : go_on;
  }
  if (is_name()) {
    name_ = value.get<std::string>();
  } else if (is_arguments() && !value.is_null()) {
    // Some write the object as a text.
    early_ = value.is_string() ? value.get<std::string>() : captured_;
  } else if (key_.ends_with("id") && value.is_string()) {
    // Numbers count the calls of one turn: they are not unique in a conversation.
    const auto& id = value.get_ref<const std::string&>();
    if (id.find_first_not_of("0123456789") != std::string::npos) id_ = id;
  }
  return go_on;
}

JsonCalls::Step JsonCalls::after(std::string_view& text) {
  if (text[0] == ',') {
    take(text, 1);
    at_ = At::key;
    return go_on;
  }
  if (text[0] != '}') {
    if (!announced()) return Read::none;
    settle();
    return Read::done;
  }
  take(text, 1);
  if (nested_ == 0) return end_object();
  --nested_;
  at_ = At::after;
  return go_on;
}

JsonCalls::Step JsonCalls::end_object() {
  if (!announced()) {
    if (!announce(name_, id_)) return Read::none;
    builder_.arguments(early_.empty() ? "{}" : early_);
  }
  settle();
  at_ = At::between;
  return go_on;
}

JsonCalls::Step JsonCalls::between(std::string_view& text, bool last) {
  if (text.empty()) return last ? Read::done : Read::more;
  const char c = text[0];
  if (list_ && c == ']') {
    take(text, 1);
    return Read::done;
  }
  if (c != '{' && c != (list_ ? ',' : ';')) return Read::done;
  if (c != '{') take(text, 1);
  at_ = At::start;
  return go_on;
}

}  // namespace

std::unique_ptr<CallReader> make_json_reader(const CallFormat& format, MessageBuilder& builder, bool bare) {
  return std::make_unique<JsonCalls>(format, builder, bare);
}

}  // namespace rf::dialect
