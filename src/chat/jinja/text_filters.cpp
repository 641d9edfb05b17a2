// Filters on text.
#include <algorithm>

#include "base/error.h"
#include "chat/jinja/builtin.h"
#include "chat/jinja/format.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/pretty.h"
#include "chat/jinja/print.h"
#include "chat/jinja/render.h"
#include "chat/jinja/text.h"
#include "chat/jinja/word_wrap.h"

namespace rf::jinja {
namespace {

Value like(Render& r, const Value& original, std::string text) {
  return Value(r.heap().text(std::move(text), original.is_markup()));
}

Value f_upper(Render& r, const Bound& b) {
  const Value s = soft_str(r.heap(), b.self);
  return like(r, s, to_upper(s.str()));
}
Value f_lower(Render& r, const Bound& b) {
  const Value s = soft_str(r.heap(), b.self);
  return like(r, s, to_lower(s.str()));
}
Value f_capitalize(Render& r, const Bound& b) {
  const Value s = soft_str(r.heap(), b.self);
  return like(r, s, capitalize(s.str()));
}

// Upper-cases after blanks, dashes and opening brackets only: jinja's words, not str.title's.
Value f_title(Render& r, const Bound& b) {
  const Value s = soft_str(r.heap(), b.self);
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
  const Value s = soft_str(r.heap(), b.self);
  const bool blanks = !b.has(0) || b.arg[0].is_none();
  return Value(r.heap().view(blanks ? strip(s.str()) : strip(s.str(), b.text(0), Side::both), s.is_markup()));
}

Value f_replace(Render& r, const Bound& b) {
  const Value old = soft_str(r.heap(), b.arg[0]), by = soft_str(r.heap(), b.arg[1]);
  Value s = soft_str(r.heap(), b.self);
  const bool escape = r.autoescape() && !s.is_markup() && (old.is_markup() || by.is_markup());
  if (escape) s = Value(r.heap().text(html_escaped(s.str()), true));
  const std::int64_t max = b.has(2) && !b.arg[2].is_none() ? b.integer(2, -1) : -1;
  r.heap().work(s.str().size() / 64);
  const auto times = static_cast<std::size_t>(count(s.str(), old.str()));
  if (by.str().size() > 1)
    r.heap().reserve(times > r.heap().limits().bytes / by.str().size() ? r.heap().limits().bytes + 1
                                                                       : times * by.str().size());
  if (!r.autoescape() || !s.is_markup()) return r.heap().str(replace(s.str(), old.str(), by.str(), max));
  return like(r, s, replace(s.str(), old.str(), by.is_markup() ? by.str() : html_escaped(by.str()), max));
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
  const Value s = soft_str(r.heap(), b.self);
  const std::int64_t missing = std::max<std::int64_t>(b.integer(0, 80) - s.text().chars, 0);
  const std::int64_t left = missing / 2 + (missing & b.integer(0, 80) & 1);
  r.heap().reserve(static_cast<std::size_t>(missing));
  return like(r, s,
              std::string(static_cast<std::size_t>(left), ' ') + std::string(s.str()) +
                  std::string(static_cast<std::size_t>(missing - left), ' '));
}

Value f_truncate(Render& r, const Bound& b) {
  const std::int64_t length = b.integer(0, 255),
                     leeway = b.has(3) && !b.arg[3].is_none() ? b.integer(3, 5) : 5;
  const bool kill = b.flag(r.heap(), 1, false);
  const std::string_view end = b.has(2) ? b.text(2) : "...";
  const std::int64_t keep = length - count_chars(end);
  if (keep < 0) fail("truncate: expected length >= {}, found {}", count_chars(end), length);
  if (leeway < 0) fail("truncate: expected leeway >= 0, found {}", leeway);
  if (jinja::length(b.self) - leeway <= length) return b.self;
  if (!b.self.is_text()) fail("truncate needs a string, found {}", b.self.type_name());
  const Value& s = b.self;
  std::string out(s.str().substr(0, byte_of_char(s.str(), keep)));
  if (!kill) out.resize(std::min(out.rfind(' '), out.size()));
  return like(r, s, out.append(end));
}

Value f_wordcount(Render& r, const Bound& b) {
  const Value s = soft_str(r.heap(), b.self);
  std::int64_t words = 0;
  bool inside = false;
  for (std::size_t at = 0; at < s.str().size();) {
    const bool word = is_word(next_char(s.str(), at));
    words += static_cast<std::int64_t>(word && !inside);
    inside = word;
  }
  return Value(words);
}

Value f_wordwrap(Render& r, const Bound& b) {
  if (!b.self.is_text()) fail("wordwrap needs a string, found {}", b.self.type_name());
  const std::int64_t width = b.integer(0, 79);
  const bool long_words = b.flag(r.heap(), 1, true), hyphens = b.flag(r.heap(), 3, true);
  const std::string_view end = b.has(2) && !b.arg[2].is_none() ? b.text(2) : "\n";
  std::string out;
  bool first = true;
  for (const std::string_view paragraph : split_lines(b.self.str(), false)) {
    if (width < 1) fail("wordwrap: expected a width of at least 1, found {}", width);
    r.heap().work(paragraph.size() / 8);
    std::vector<std::string> lines = wrapped(paragraph, width, long_words, hyphens);
    if (lines.empty()) lines.emplace_back();
    for (const std::string& line : lines) {
      r.heap().reserve(line.size() + end.size());
      if (!std::exchange(first, false)) out += end;
      out += line;
    }
  }
  return r.heap().str(std::move(out));
}

Value f_pprint(Render& r, const Bound& b) {
  return r.heap().str(to_pretty(r.heap(), b.self));
}

Value f_string(Render& r, const Bound& b) {
  return soft_str(r.heap(), b.self);
}
Value f_format(Render& r, const Bound& b) {
  const Value s = soft_str(r.heap(), b.self);
  if (b.all.named.empty())
    return percent_format(r.heap(), s, Value(r.heap().list(b.all.positional), Kind::tuple));
  if (!b.all.positional.empty()) fail("can't handle positional and keyword arguments at the same time");
  Dict* dict = r.heap().dict();
  for (const auto& [name, value] : b.all.named) r.heap().set(*dict, Value(name), value);
  return percent_format(r.heap(), s, Value(dict));
}

}  // namespace

std::span<const Builtin> text_filters() {
  static constexpr Builtin table[] = {
      {"capitalize", f_capitalize, ""},
      {"center", f_center, "width"},
      {"format", f_format, "*"},
      {"indent", f_indent, "width,first,blank"},
      {"lower", f_lower, ""},
      {"pprint", f_pprint, ""},
      {"replace", f_replace, "old,new,count", 2},
      {"string", f_string, ""},
      {"title", f_title, ""},
      {"trim", f_trim, "chars"},
      {"truncate", f_truncate, "length,killwords,end,leeway"},
      {"upper", f_upper, ""},
      {"wordcount", f_wordcount, ""},
      {"wordwrap", f_wordwrap, "width,break_long_words,wrapstring,break_on_hyphens"},
  };
  return table;
}

}  // namespace rf::jinja
