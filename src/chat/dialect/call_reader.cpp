#include "chat/dialect/call_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "chat/dialect/marks.h"

namespace rf::dialect {

void CallReader::take(std::string_view& text, std::size_t bytes) {
  if (!announced_) pending_ += text.substr(0, bytes);
  text.remove_prefix(bytes);
}

void CallReader::skip_space(std::string_view& text) {
  take(text, std::min(text.find_first_not_of(white), text.size()));
}

bool CallReader::announce(std::string_view name, std::string_view id) {
  if (name.empty() || builder_.tools().empty() || (bare_ && !builder_.tools().has(name))) return false;
  builder_.begin_call(name, id);
  pending_.clear();
  return announced_ = true;
}

std::size_t ArgumentStream::pass(std::string_view text, std::string_view close, bool last,
                                 MessageBuilder& builder) {
  std::size_t at = 0;
  std::string out;
  while (at < text.size() && !done_) {
    if (!scanner_.in_string() && !close.empty() && text[at] == close[0]) {
      const Begins begins = begins_with(text.substr(at), close, last);
      if (begins == Begins::unknown) break;
      if (begins == Begins::yes) {
        done_ = true;
        break;
      }
    }
    const bool control = scanner_.in_string() && static_cast<unsigned char>(text[at]) < 0x20;
    at += scanner_.scan(text.substr(at, 1));
    done_ = scanner_.done();
    if (control)
      out += text[at - 1] == '\n' ? "\\n" : fmt::format("\\u{:04x}", static_cast<unsigned>(text[at - 1]));
    else
      out += text[at - 1];
  }
  builder.arguments(out);
  return at;
}

bool is_tool_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return static_cast<unsigned char>(c) >= 0x80 || std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("_-.:/|").find(c) != std::string_view::npos;
  });
}

namespace {

// JSON begins with an object, or a list of objects.
std::unique_ptr<CallReader> make_json_or_python(const CallFormat& format, MessageBuilder& builder, bool bare,
                                                std::string_view text, bool last) {
  const std::size_t second = text[0] == '[' ? text.find_first_not_of(white, 1) : 0;
  if (second == std::string_view::npos && !last && text.size() < 256) return nullptr;
  if (second != std::string_view::npos && (text[second] == '{' || text[second] == '`'))
    return make_json_reader(format, builder, bare);
  // Without brackets it may be any program.
  return make_literal_reader(format, builder, bare || (format.bare && text[0] != '['));
}

}  // namespace

std::unique_ptr<CallReader> make_reader(const CallFormat& format, MessageBuilder& builder, bool bare,
                                        std::string_view text, bool last) {
  switch (format.body) {
    case CallFormat::Body::json:
      return make_json_reader(format, builder, bare);
    case CallFormat::Body::json_or_python:
      return make_json_or_python(format, builder, bare, text, last);
    case CallFormat::Body::braces:
      return make_literal_reader(format, builder, bare);
    case CallFormat::Body::named_json:
      return make_named_reader(format, builder, bare);
    case CallFormat::Body::parameters:
      return make_parameter_reader(format, builder);
    case CallFormat::Body::no_calls:
    case CallFormat::Body::channels:
      break;
  }
  return nullptr;
}

}  // namespace rf::dialect
