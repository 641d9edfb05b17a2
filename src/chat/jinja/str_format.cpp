// "...".format(...): replacement fields {name.attribute[key]!conversion:spec}.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "chat/jinja/format.h"
#include "chat/jinja/number.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/print.h"
#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

class BraceFormatter {
 public:
  BraceFormatter(Heap& heap, bool escape, const Args& args) : heap_(heap), escape_(escape), args_(args) {}

  // `depth`: a spec may itself hold replacement fields, once.
  std::string run(std::string_view format, int depth) {
    std::string out;
    for (std::size_t at = 0; at < format.size();) {
      const char c = format[at++];
      if (c != '{' && c != '}') {
        out += c;
      } else if (at < format.size() && format[at] == c) {
        out += c;
        ++at;
      } else if (c == '}') {
        fail("Single '}}' encountered in format string");
      } else {
        const std::size_t end = closing(format, at);
        out += field(format.substr(at, end - at), depth);
        at = end + 1;
      }
    }
    heap_.reserve(out.size());
    return out;
  }

 private:
  static std::size_t closing(std::string_view format, std::size_t at) {
    for (int open = 1; at < format.size(); ++at) {
      if (format[at] == '{') ++open;
      if (format[at] == '}' && --open == 0) return at;
    }
    fail("expected '}}' before end of string");
  }

  std::string field(std::string_view text, int depth) {
    if (depth > 1) fail("Max string recursion exceeded");
    const std::size_t name_end = std::min(text.find_first_of("!:"), text.size());
    const Value v = lookup(text.substr(0, name_end));
    std::string_view rest = text.substr(name_end);
    char conversion = 0;
    if (rest.starts_with('!')) {
      if (rest.size() < 2 || (rest.size() > 2 && rest[2] != ':'))
        fail("expected ':' after conversion specifier");
      conversion = rest[1];
      rest.remove_prefix(2);
    }
    const std::string spec_text = rest.empty() ? "" : run(rest.substr(1), depth + 1);
    if (conversion == 'r' || conversion == 'a') return text_field(to_repr(heap_, v), spec_text, false);
    if (conversion == 's') return text_field(to_str(heap_, v), spec_text, false);
    if (conversion != 0) fail("Unknown conversion specifier {}", conversion);
    if (v.is_number() && !(v.is(Kind::boolean) && spec_text.empty())) return number_field(v, spec_text);
    if (!v.is_text() && !spec_text.empty())
      fail("unsupported format string passed to {}.__format__", v.type_name());
    return text_field(to_str(heap_, v), spec_text, v.is_markup());
  }

  std::string text_field(std::string body, const std::string& spec_text, bool is_markup) {
    const Spec spec = parse(spec_text);
    if ((spec.type != 0 && spec.type != 's') || spec.align == '=' || spec.sign != '-' || spec.group != 0)
      fail("Unknown format code in '{}' for object of type 'str'", spec_text);
    if (escape_ && !is_markup) body = html_escaped(body);
    if (spec.precision >= 0) body.resize(byte_of_char(body, spec.precision));
    heap_.reserve(body.size() + static_cast<std::size_t>(spec.width));
    return pad(std::move(body), spec, '<');
  }

  std::string number_field(const Value& v, const std::string& spec_text) {
    const Spec spec = parse(spec_text);
    heap_.reserve(static_cast<std::size_t>(spec.width));
    if (spec.type == 'c' && v.is_integral() && v.integer() >= 0 && v.integer() < 0x110000) {
      std::string body;
      append_utf8(body, static_cast<char32_t>(v.integer()));
      return pad(std::move(body), spec, '<');
    }
    return format_number(v, spec);
  }

  Value lookup(std::string_view name) {
    const std::size_t first_end = std::min(name.find_first_of(".["), name.size());
    Value v = base(name.substr(0, first_end));
    std::string_view rest = name.substr(first_end);
    while (!rest.empty()) {
      const bool index = rest[0] == '[';
      const std::size_t end = index ? rest.find(']') : std::min(rest.find_first_of(".[", 1), rest.size());
      if (end == std::string_view::npos) fail("Missing ']' in format string");
      const std::string_view part = rest.substr(1, end - 1);
      const auto number = index ? parse_int(part, 10) : std::nullopt;
      const Value found = element(heap_, v, number ? Value(*number) : heap_.str_view(part));
      if (found.is_absent()) fail("{} has no element {} for the format string", v.type_name(), quoted(part));
      v = found;
      rest.remove_prefix(index ? end + 1 : end);
    }
    return v;
  }

  Value base(std::string_view name) {
    const auto number = name.empty() ? std::optional(next_++) : parse_int(name, 10);
    if (number && std::exchange(numbering_, name.empty() ? 'a' : 'm') == (name.empty() ? 'm' : 'a'))
      fail("cannot switch between automatic field numbering and manual field specification");
    if (!number) {
      for (const auto& [key, value] : args_.named)
        if (key->bytes == name) return value;
      fail("KeyError: {}", quoted(name));
    }
    if (*number < 0 || *number >= static_cast<std::int64_t>(args_.positional.size()))
      fail("Replacement index {} out of range for positional args tuple", *number);
    return args_.positional[static_cast<std::size_t>(*number)];
  }

  static std::int64_t read_size(std::string_view s, std::size_t& at) {
    std::int64_t n = 0;
    for (; at < s.size() && s[at] >= '0' && s[at] <= '9'; ++at)
      if ((n = n * 10 + (s[at] - '0')) > (1 << 20)) fail("Too many decimal digits in format string");
    return n;
  }

  // [[fill]align][sign][z][#][0][width][grouping][.precision][type]
  static Spec parse(std::string_view s) {
    Spec spec;
    std::size_t at = 0;
    const auto is_align = [&](std::size_t i) {
      return i < s.size() && std::string_view("<>^=").find(s[i]) != std::string_view::npos;
    };
    if (!s.empty()) {
      const std::size_t n = char_size(s, 0);
      if (is_align(n)) {
        spec.fill = s.substr(0, n);
        spec.align = s[n];
        at = n + 1;
      } else if (is_align(0)) {
        spec.align = s[at++];
      }
    }
    if (at < s.size() && (s[at] == '+' || s[at] == '-' || s[at] == ' ')) spec.sign = s[at++];
    if (at < s.size() && s[at] == '#') spec.alternate = true, ++at;
    if (at < s.size() && s[at] == '0') {
      ++at;
      if (spec.align == 0) spec.fill.assign(1, '0'), spec.align = '=';
    }
    spec.width = read_size(s, at);
    if (at < s.size() && (s[at] == ',' || s[at] == '_')) spec.group = s[at++];
    if (at < s.size() && s[at] == '.') {
      const std::size_t digits = ++at;
      spec.precision = read_size(s, at);
      if (at == digits) fail("Format specifier missing precision");
    }
    if (at < s.size()) spec.type = s[at++];
    if (at != s.size()) fail("Invalid format specifier '{}'", s);
    return spec;
  }

  Heap& heap_;
  bool escape_;
  const Args& args_;
  std::int64_t next_ = 0;
  char numbering_ = 0;  // 'a': fields without numbers were seen, 'm': such with
};

}  // namespace

Value str_format(Heap& heap, const Value& format, const Args& args) {
  BraceFormatter formatter(heap, format.is_markup(), args);
  return Value(heap.text(formatter.run(format.str(), 0), format.is_markup()));
}

}  // namespace rf::jinja
