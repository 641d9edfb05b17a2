#include "chat/jinja/text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>

namespace rf::jinja {
namespace {

constexpr char32_t invalid_base = 0xDC00;  // as Python's surrogateescape

bool is_tail(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

bool is_ascii(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

template <class Test>
std::string_view strip_if(std::string_view s, Side side, Test&& test) {
  std::size_t begin = 0, end = s.size();
  while (side != Side::right && begin < end) {
    std::size_t at = begin;
    if (!test(next_char(s, at))) break;
    begin = at;
  }
  while (side != Side::left && begin < end) {
    const std::size_t start = char_before(s, end);
    std::size_t at = start;
    if (!test(next_char(s, at))) break;
    end = start;
  }
  return s.substr(begin, end - begin);
}

}  // namespace

std::size_t char_before(std::string_view s, std::size_t end) {
  std::size_t at = end - 1;
  for (int i = 0; i < 3 && at > 0 && is_tail(s[at]); ++i) --at;
  return char_size(s, at) == end - at ? at : end - 1;
}

std::size_t char_size(std::string_view s, std::size_t at) {
  std::size_t end = at;
  next_char(s, end);
  return end - at;
}

std::int64_t count_chars(std::string_view s) {
  if (is_ascii(s)) return static_cast<std::int64_t>(s.size());
  std::int64_t n = 0;
  for (std::size_t at = 0; at < s.size(); ++n) next_char(s, at);
  return n;
}

std::size_t byte_of_char(std::string_view s, std::int64_t index) {
  std::size_t at = 0;
  for (; index > 0 && at < s.size(); --index) next_char(s, at);
  return at;
}

char32_t next_char(std::string_view s, std::size_t& at) {
  const auto first = static_cast<unsigned char>(s[at]);
  if (first < 0x80) {
    ++at;
    return first;
  }
  utf8proc_int32_t c = -1;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(s.data() + at);
  const auto used =
      utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(std::min<std::size_t>(s.size() - at, 4)), &c);
  if (used < 1 || c < 0) {
    ++at;
    return invalid_base + first;
  }
  at += static_cast<std::size_t>(used);
  return static_cast<char32_t>(c);
}

void append_utf8(std::string& out, char32_t c) {
  if (c >= invalid_base + 0x80 && c <= invalid_base + 0xFF) {
    out += static_cast<char>(c - invalid_base);
    return;
  }
  utf8proc_uint8_t bytes[4];
  const auto n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n));
}

std::string_view strip(std::string_view s, Side side) {
  return strip_if(s, side, is_space);
}

std::string_view strip(std::string_view s, std::string_view chars, Side side) {
  std::u32string set;
  for (std::size_t at = 0; at < chars.size();) set += next_char(chars, at);
  std::sort(set.begin(), set.end());
  return strip_if(s, side, [&](char32_t c) { return std::binary_search(set.begin(), set.end(), c); });
}

std::vector<std::string_view> split_space(std::string_view s, std::int64_t max, bool from_right) {
  std::vector<std::string_view> parts;
  std::string_view rest = from_right ? strip(s, Side::right) : strip(s, Side::left);
  while (!rest.empty()) {
    if (max >= 0 && static_cast<std::int64_t>(parts.size()) == max) {
      parts.push_back(strip(rest, from_right ? Side::right : Side::left));
      break;
    }
    std::size_t cut = from_right ? rest.size() : 0;
    while (from_right ? cut > 0 : cut < rest.size()) {
      std::size_t at = from_right ? char_before(rest, cut) : cut;
      const std::size_t start = at;
      if (is_space(next_char(rest, at))) break;
      cut = from_right ? start : at;
    }
    parts.push_back(from_right ? rest.substr(cut) : rest.substr(0, cut));
    rest = from_right ? strip(rest.substr(0, cut), Side::right) : strip(rest.substr(cut), Side::left);
  }
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split(std::string_view s, std::string_view by, std::int64_t max,
                                    bool from_right) {
  std::vector<std::string_view> parts;
  while (max < 0 || static_cast<std::int64_t>(parts.size()) < max) {
    const std::size_t at = from_right ? s.rfind(by) : s.find(by);
    if (at == std::string_view::npos) break;
    parts.push_back(from_right ? s.substr(at + by.size()) : s.substr(0, at));
    s = from_right ? s.substr(0, at) : s.substr(at + by.size());
  }
  parts.push_back(s);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view s, bool keep_ends) {
  std::vector<std::string_view> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < s.size();) {
    const std::size_t end = at;
    const char32_t c = next_char(s, at);
    if (!is_line_break(c)) continue;
    if (c == '\r' && at < s.size() && s[at] == '\n') ++at;
    lines.push_back(s.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < s.size()) lines.push_back(s.substr(begin));
  return lines;
}

std::string replace(std::string_view s, std::string_view old, std::string_view by, std::int64_t max) {
  std::string out;
  std::size_t at = 0;
  if (old.empty()) {  // before every character and at the end
    for (; max != 0 && at < s.size(); --max) {
      const std::size_t n = char_size(s, at);
      out.append(by).append(s.substr(at, n));
      at += n;
    }
    if (max != 0) out += by;
    return out.append(s.substr(at));
  }
  for (; max != 0; --max) {
    const std::size_t found = s.find(old, at);
    if (found == std::string_view::npos) break;
    out.append(s.substr(at, found - at)).append(by);
    at = found + old.size();
  }
  return out.append(s.substr(at));
}

std::int64_t count(std::string_view s, std::string_view part) {
  if (part.empty()) return count_chars(s) + 1;
  std::int64_t n = 0;
  for (std::size_t at = s.find(part); at != std::string_view::npos; at = s.find(part, at + part.size())) ++n;
  return n;
}

std::string quoted(std::string_view s) {
  const char quote =
      s.find('\'') != std::string_view::npos && s.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (std::size_t at = 0; at < s.size();) {
    const char32_t c = next_char(s, at);
    if (c == static_cast<char32_t>(quote) || c == '\\')
      out.append(1, '\\').append(1, static_cast<char>(c));
    else if (c == '\n')
      out += "\\n";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\t')
      out += "\\t";
    else if (is_printable(c))
      append_utf8(out, c);
    else if (c < 0x100)
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    else
      out += c < 0x10000 ? fmt::format("\\u{:04x}", static_cast<unsigned>(c))
                         : fmt::format("\\U{:08x}", static_cast<unsigned>(c));
  }
  return out += quote;
}

std::string html_escaped(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (const char c : s) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace rf::jinja
