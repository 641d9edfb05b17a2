// Filters on text.
#include <algorithm>

#include "base/error.h"
#include "chat/jinja/builtin.h"
#include "chat/jinja/format.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/print.h"
#include "chat/jinja/render.h"
#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

// The value as text; keeps markup.
Value soft(Render& r, const Value& v) {
  return v.is_text() ? v : r.heap().str(to_str(r.heap(), v));
}
Value like(Render& r, const Value& original, std::string text) {
  return Value(r.heap().text(std::move(text), original.is_markup()));
}

Value f_upper(Render& r, const Bound& b) {
  const Value s = soft(r, b.self);
  return like(r, s, to_upper(s.str()));
}
Value f_lower(Render& r, const Bound& b) {
  const Value s = soft(r, b.self);
  return like(r, s, to_lower(s.str()));
}
Value f_capitalize(Render& r, const Bound& b) {
  const Value s = soft(r, b.self);
  return like(r, s, capitalize(s.str()));
}

// Upper-cases after blanks, dashes and opening brackets only: jinja's words, not str.title's.
Value f_title(Render& r, const Bound& b) {
  const Value s = soft(r, b.self);
  const auto separates = [](char32_t c) {
    return is_space(c) ||
           (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) != std::string_view::npos);
  };
  std::string out;
  bool start = true;
  const std::string_view text = s.str();
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view one = text.substr(at, char_size(text, at));
    out += start ? to_upper(one) : to_lower(one);
    start = separates(next_char(text, at));
  }
  return r.heap().str(std::move(out));
}

Value f_trim(Render& r, const Bound& b) {
  const Value s = soft(r, b.self);
  const bool blanks = !b.has(0) || b.arg[0].is_none();
  return Value(r.heap().view(blanks ? strip(s.str()) : strip(s.str(), b.text(0), Side::both), s.is_markup()));
}

Value f_replace(Render& r, const Bound& b) {
  const Value s = soft(r, b.self), old = soft(r, b.arg[0]), by = soft(r, b.arg[1]);
  const std::int64_t max = b.has(2) && !b.arg[2].is_none() ? b.integer(2, -1) : -1;
  r.heap().work(s.str().size() / 64);
  const auto times = static_cast<std::size_t>(count(s.str(), old.str()));
  if (by.str().size() > 1)
    r.heap().reserve(times > r.heap().limits().bytes / by.str().size() ? r.heap().limits().bytes + 1
                                                                       : times * by.str().size());
  return r.heap().str(replace(s.str(), old.str(), by.str(), max));
}

Value f_indent(Render& r, const Bound& b) {
  if (!b.self.is_text()) fail("indent needs a string, found {}", b.self.type_name());
  std::string indention;
  if (b.has(0) && b.arg[0].is_text()) {
    indention = b.arg[0].str();
  } else {
    const auto width = static_cast<std::size_t>(std::max<std::int64_t>(b.integer(0, 4), 0));
    r.heap().reserve(width);
    indention.assign(width, ' ');
  }
  const bool first = b.flag(r.heap(), 1, false), blank = b.flag(r.heap(), 2, false);
  const std::string text = std::string(b.self.str()) + "\n";
  std::string out = first ? indention : "";
  bool is_first = true;
  for (const std::string_view line : split_lines(text, false)) {
    if (!std::exchange(is_first, false)) {
      out += '\n';
      if (blank || !line.empty()) {
        r.heap().reserve(indention.size());
        out += indention;
      }
    }
    out += line;
  }
  return like(r, b.self, std::move(out));
}

Value f_center(Render& r, const Bound& b) {
  const Value s = soft(r, b.self);
  const std::int64_t missing = std::max<std::int64_t>(b.integer(0, 80) - s.text().chars, 0);
  const std::int64_t left = missing / 2 + (missing & b.integer(0, 80) & 1);
  r.heap().reserve(static_cast<std::size_t>(missing));
  return like(r, s,
              std::string(static_cast<std::size_t>(left), ' ') + std::string(s.str()) +
                  std::string(static_cast<std::size_t>(missing - left), ' '));
}

Value f_truncate(Render& r, const Bound& b) {
  if (!b.self.is_text() && !b.self.is_undefined())
    fail("truncate needs a string, found {}", b.self.type_name());
  const Value s = soft(r, b.self);
  const std::int64_t length = b.integer(0, 255),
                     leeway = b.has(3) && !b.arg[3].is_none() ? b.integer(3, 5) : 5;
  const bool kill = b.flag(r.heap(), 1, false);
  const std::string_view end = b.has(2) ? b.text(2) : "...";
  const std::int64_t keep = length - count_chars(end);
  if (keep < 0) fail("truncate: expected length >= {}, found {}", count_chars(end), length);
  if (leeway < 0) fail("truncate: expected leeway >= 0, found {}", leeway);
  if (s.text().chars - leeway <= length) return s;
  std::string out(s.str().substr(0, byte_of_char(s.str(), keep)));
  if (!kill) out.resize(std::min(out.rfind(' '), out.size()));
  return like(r, s, out.append(end));
}

Value f_wordcount(Render& r, const Bound& b) {
  const Value s = soft(r, b.self);
  std::int64_t words = 0;
  bool inside = false;
  for (std::size_t at = 0; at < s.str().size();) {
    const bool word = is_word(next_char(s.str(), at));
    words += static_cast<std::int64_t>(word && !inside);
    inside = word;
  }
  return Value(words);
}

// Without tags and comments, and with single spaces. Entities stay.
Value f_striptags(Render& r, const Bound& b) {
  const Value s = soft(r, b.self);
  std::string_view rest = s.str();
  std::string text;
  while (!rest.empty()) {
    const std::size_t open = std::min(rest.find('<'), rest.size());
    const bool comment = rest.substr(open).starts_with("<!--");
    const std::size_t close = comment ? rest.find("-->", open) : rest.find('>', open);
    const std::size_t end = close == std::string_view::npos ? rest.size() : close + (comment ? 3 : 1);
    text += rest.substr(0, close == std::string_view::npos ? rest.size() : open);
    rest.remove_prefix(end);
  }
  std::string out;
  for (const std::string_view word : split_space(text, -1, false)) {
    if (!out.empty()) out += ' ';
    out += word;
  }
  return r.heap().str(std::move(out));
}

Value f_string(Render& r, const Bound& b) {
  return soft(r, b.self);
}
Value f_safe(Render& r, const Bound& b) {
  const Value s = soft(r, b.self);
  return Value(r.heap().view(s.str(), true));
}
Value f_escape(Render& r, const Bound& b) {
  const Value s = soft(r, b.self);
  return s.is_markup() ? s : Value(r.heap().text(html_escaped(s.str()), true));
}
Value f_forceescape(Render& r, const Bound& b) {
  return Value(r.heap().text(html_escaped(soft(r, b.self).str()), true));
}

Value f_format(Render& r, const Bound& b) {
  const Value s = soft(r, b.self);
  if (b.all.named.empty())
    return percent_format(r.heap(), s, Value(r.heap().list(b.all.positional), Kind::tuple));
  if (!b.all.positional.empty()) fail("can't handle positional and keyword arguments at the same time");
  Dict* dict = r.heap().dict();
  for (const auto& [name, value] : b.all.named) r.heap().set(*dict, Value(name), value);
  return percent_format(r.heap(), s, Value(dict));
}

Value f_urlencode(Render& r, const Bound& b) {
  const auto encode = [&](const Value& v, std::string_view safe) {
    std::string out;
    for (const char c : soft(r, v).str()) {
      const bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                         std::string_view("_.-~").find(c) != std::string_view::npos ||
                         safe.find(c) != std::string_view::npos;
      if (plain)
        out += c;
      else if (c == ' ' && safe.empty())  // a form's field
        out += '+';
      else
        out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
  };
  if (!b.self.is_dict()) return r.heap().str(encode(b.self, "/"));
  std::string out;
  for (const auto& [key, value] : b.self.dict().entries()) {
    if (!out.empty()) out += '&';
    out += encode(key, "") + "=" + encode(value, "");
  }
  return r.heap().str(std::move(out));
}

}  // namespace

std::span<const Builtin> text_filters() {
  static constexpr Builtin table[] = {
      {"capitalize", f_capitalize, ""},
      {"center", f_center, "width"},
      {"e", f_escape, ""},
      {"escape", f_escape, ""},
      {"forceescape", f_forceescape, ""},
      {"format", f_format, "*"},
      {"indent", f_indent, "width,first,blank"},
      {"lower", f_lower, ""},
      {"replace", f_replace, "old,new,count", 2},
      {"safe", f_safe, ""},
      {"string", f_string, ""},
      {"striptags", f_striptags, ""},
      {"title", f_title, ""},
      {"trim", f_trim, "chars"},
      {"truncate", f_truncate, "length,killwords,end,leeway"},
      {"upper", f_upper, ""},
      {"urlencode", f_urlencode, ""},
      {"wordcount", f_wordcount, ""},
  };
  return table;
}

}  // namespace rf::jinja
