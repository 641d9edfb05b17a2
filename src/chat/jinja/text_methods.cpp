// Methods of str that give text or lists of text.
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

Value like(Render& r, const Value& self, std::string text) {
  return Value(r.heap().text(std::move(text), self.is_markup()));
}
Value part(Render& r, const Value& self, std::string_view text) {
  return Value(r.heap().view(text, self.is_markup()));
}
Value parts(Render& r, const Value& self, const std::vector<std::string_view>& texts,
            Kind kind = Kind::list) {
  std::vector<Value> out;
  out.reserve(texts.size());
  for (const std::string_view t : texts) out.push_back(part(r, self, t));
  return Value(r.heap().list(std::move(out)), kind);
}
// An argument that joins the text of `self`: escaped where self is markup and it is not.
std::string joined(const Bound& b, std::size_t i) {
  const bool escape = b.self.is_markup() && !(b.has(i) && b.arg[i].is_markup());
  return escape ? html_escaped(b.text(i)) : std::string(b.text(i));
}

template <std::string (*change)(std::string_view)>
Value changed(Render& r, const Bound& b) {
  return like(r, b.self, change(b.self.str()));
}

template <Side side>
Value m_strip(Render& r, const Bound& b) {
  const bool blanks = !b.has(0) || b.arg[0].is_none();
  return part(r, b.self, blanks ? strip(b.self.str(), side) : strip(b.self.str(), b.text(0), side));
}

template <bool from_right>
Value m_split(Render& r, const Bound& b) {
  const std::int64_t max = b.integer(1, -1);
  r.heap().work(b.self.str().size() / 64);
  if (!b.has(0) || b.arg[0].is_none()) return parts(r, b.self, split_space(b.self.str(), max, from_right));
  if (b.text(0).empty()) fail("empty separator");
  return parts(r, b.self, split(b.self.str(), b.text(0), max, from_right));
}

Value m_splitlines(Render& r, const Bound& b) {
  return parts(r, b.self, split_lines(b.self.str(), b.flag(r.heap(), 0, false)));
}

template <bool from_right>
Value m_partition(Render& r, const Bound& b) {
  const std::string_view s = b.self.str(), by = b.text(0);
  if (by.empty()) fail("empty separator");
  const std::size_t at = from_right ? s.rfind(by) : s.find(by);
  if (at == std::string_view::npos)
    return from_right ? parts(r, b.self, {"", "", s}, Kind::tuple)
                      : parts(r, b.self, {s, "", ""}, Kind::tuple);
  return parts(r, b.self, {s.substr(0, at), s.substr(at, by.size()), s.substr(at + by.size())}, Kind::tuple);
}

Value m_replace(Render& r, const Bound& b) {
  const std::string by = joined(b, 1);
  r.heap().work(b.self.str().size() / 64);
  const auto times = static_cast<std::size_t>(count(b.self.str(), b.text(0)));
  r.heap().reserve(by.size() <= 1 ? 0 : std::min(times, r.heap().limits().bytes / by.size() + 1) * by.size());
  return like(r, b.self, replace(b.self.str(), b.text(0), by, b.integer(2, -1)));
}

Value m_join(Render& r, const Bound& b) {
  std::string out;
  std::size_t i = 0;
  for (const Value& v : items_of(r.heap(), b.arg[0])) {
    if (!v.is_text()) fail("sequence item {}: expected str instance, {} found", i, v.type_name());
    r.heap().reserve(b.self.str().size() + v.str().size());
    if (i++ > 0) out += b.self.str();
    out += b.self.is_markup() && !v.is_markup() ? html_escaped(v.str()) : std::string(v.str());
  }
  return like(r, b.self, std::move(out));
}

Value justified(Render& r, const Bound& b, char align) {
  Spec spec;
  spec.width = b.integer(0, 0);
  spec.align = align;
  if (b.has(1)) {
    spec.fill = b.text(1);
    if (count_chars(spec.fill) != 1) fail("The fill character must be exactly one character long");
  }
  if (spec.width > 0) {
    if (static_cast<std::size_t>(spec.width) > r.heap().limits().bytes / 4)
      fail("a width of {} is too big", spec.width);
    r.heap().reserve(static_cast<std::size_t>(spec.width) * spec.fill.size());
  }
  return like(r, b.self, pad(std::string(b.self.str()), spec, align));
}
Value m_ljust(Render& r, const Bound& b) {
  return justified(r, b, '<');
}
Value m_rjust(Render& r, const Bound& b) {
  return justified(r, b, '>');
}
Value m_center(Render& r, const Bound& b) {  // an odd blank goes left where the width is odd
  const std::int64_t width = b.integer(0, 0), missing = width - b.self.text().chars;
  if (missing > 0 && (missing & width & 1) != 0) {
    const std::string fill = b.has(1) ? std::string(b.text(1)) : " ";
    Bound inner = b;
    inner.self = like(r, b.self, fill + std::string(b.self.str()));
    return justified(r, inner, '^');
  }
  return justified(r, b, '^');
}

Value m_zfill(Render& r, const Bound& b) {
  const std::string_view s = b.self.str();
  const std::int64_t missing = b.integer(0, 0) - b.self.text().chars;
  if (missing <= 0) return b.self;
  r.heap().reserve(static_cast<std::size_t>(missing));
  const bool sign = s.starts_with('-') || s.starts_with('+');
  return like(r, b.self,
              std::string(s.substr(0, sign ? 1 : 0)) + std::string(static_cast<std::size_t>(missing), '0') +
                  std::string(s.substr(sign ? 1 : 0)));
}

Value m_expandtabs(Render& r, const Bound& b) {
  const std::int64_t size = std::min<std::int64_t>(b.integer(0, 8), 1 << 16);
  std::string out;
  std::int64_t column = 0;
  const std::string_view s = b.self.str();
  for (std::size_t at = 0; at < s.size();) {
    const std::size_t start = at;
    const char32_t c = next_char(s, at);
    if (c == '\t') {
      const std::int64_t blanks = size > 0 ? size - column % size : 0;
      r.heap().reserve(static_cast<std::size_t>(blanks));
      out.append(static_cast<std::size_t>(blanks), ' ');
      column += blanks;
    } else {
      out += s.substr(start, at - start);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
  }
  return like(r, b.self, std::move(out));
}

Value m_removeprefix(Render& r, const Bound& b) {
  const std::string_view s = b.self.str();
  return s.starts_with(b.text(0)) ? part(r, b.self, s.substr(b.text(0).size())) : b.self;
}
Value m_removesuffix(Render& r, const Bound& b) {
  const std::string_view s = b.self.str();
  return s.ends_with(b.text(0)) ? part(r, b.self, s.substr(0, s.size() - b.text(0).size())) : b.self;
}

Value m_format(Render& r, const Bound& b) {
  return str_format(r.heap(), b.self, b.all);
}
Value m_format_map(Render& r, const Bound& b) {
  if (!b.arg[0].is_dict()) fail("format_map needs a mapping, found {}", b.arg[0].type_name());
  Args args;
  for (const auto& [key, value] : b.arg[0].dict().entries())
    if (key.is_text()) args.named.emplace_back(&key.text(), value);
  return str_format(r.heap(), b.self, args);
}

}  // namespace

std::span<const Builtin> text_methods() {
  static constexpr Builtin table[] = {
      {"capitalize", changed<capitalize>, ""},
      {"casefold", changed<case_folded>, ""},
      {"center", m_center, "width,fillchar", 1},
      {"expandtabs", m_expandtabs, "tabsize"},
      {"format", m_format, "*"},
      {"format_map", m_format_map, "mapping", 1},
      {"join", m_join, "iterable", 1},
      {"ljust", m_ljust, "width,fillchar", 1},
      {"lower", changed<to_lower>, ""},
      {"lstrip", m_strip<Side::left>, "chars"},
      {"partition", m_partition<false>, "sep", 1},
      {"removeprefix", m_removeprefix, "prefix", 1},
      {"removesuffix", m_removesuffix, "suffix", 1},
      {"replace", m_replace, "old,new,count", 2},
      {"rjust", m_rjust, "width,fillchar", 1},
      {"rpartition", m_partition<true>, "sep", 1},
      {"rsplit", m_split<true>, "sep,maxsplit"},
      {"rstrip", m_strip<Side::right>, "chars"},
      {"split", m_split<false>, "sep,maxsplit"},
      {"splitlines", m_splitlines, "keepends"},
      {"strip", m_strip<Side::both>, "chars"},
      {"swapcase", changed<swap_case>, ""},
      {"title", changed<title_case>, ""},
      {"upper", changed<to_upper>, ""},
      {"zfill", m_zfill, "width", 1},
  };
  return table;
}

}  // namespace rf::jinja
