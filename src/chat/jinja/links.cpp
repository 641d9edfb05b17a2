#include "chat/jinja/links.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>

#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

using Names = std::initializer_list<std::string_view>;

bool all_chars(std::string_view s, bool (*test)(char32_t)) {
  for (std::size_t at = 0; at < s.size();)
    if (!test(next_char(s, at))) return false;
  return true;
}
bool in_label(char32_t c) {
  return is_word(c) || c == '%' || c == '-';
}
bool in_coded_label(char32_t c) {
  return is_word(c) || c == '%';
}
bool in_mail_host(char32_t c) {
  return is_word(c) || c == '.' || c == '-';
}
bool is_ascii_letter(char32_t c) {
  return c < 0x80 && std::isalpha(static_cast<int>(c)) != 0;
}
bool is_between(std::int64_t v, std::int64_t least, std::int64_t most) {
  return v >= least && v <= most;
}

bool is_top_level(std::string_view label) {
  const std::string lower = to_lower(label);
  if (lower.starts_with("xn--"))
    return all_chars(lower.substr(4), in_coded_label) && is_between(count_chars(lower) - 4, 2, 59);
  return all_chars(label, is_ascii_letter) && is_between(count_chars(label), 2, 63);
}

// Names with dots, the last of which is a top level domain.
bool is_host(std::string_view host) {
  const auto labels = split(host, ".", -1, false);
  return is_top_level(labels.back()) &&
         std::all_of(labels.begin(), labels.end() - 1,
                     [](std::string_view label) { return !label.empty() && all_chars(label, in_label); });
}

// The same without a scheme before it: only domains that are well known.
bool is_known_host(std::string_view host) {
  static const Names known = {"com", "net", "int", "edu", "gov", "org", "info", "mil"};
  const auto labels = split(host, ".", -1, false);
  if (labels.size() < 2 || std::ranges::find(known, std::string_view(to_lower(labels.back()))) == known.end())
    return false;
  return std::all_of(labels.begin(), labels.end() - 1, [](std::string_view label) {
    return all_chars(label, in_label) && is_between(count_chars(label), 2, 63);
  });
}

bool is_ipv4(std::string_view host) {
  const auto parts = split(host, ".", -1, false);
  return parts.size() == 4 && std::ranges::all_of(parts, [](std::string_view part) {
           return is_between(count_chars(part), 1, 3) && all_chars(part, is_decimal);
         });
}

// [, groups of up to four hexadecimal digits with colons, ].
bool is_ipv6(std::string_view host) {
  if (!host.starts_with('[') || !host.ends_with(']')) return false;
  std::string_view rest = host.substr(1, host.size() - 2);
  for (int groups = 0; groups < 8 && (groups < 3 || !rest.empty()); ++groups) {
    std::size_t digits = 0;
    while (digits < rest.size() && digits < 4 && std::isxdigit(static_cast<unsigned char>(rest[digits])) != 0)
      ++digits;
    rest.remove_prefix(digits);
    const bool colon = rest.starts_with(':');
    if (groups < 2 && !colon) return false;
    if (colon) rest.remove_prefix(1);
  }
  return rest.empty();
}

// Nothing, or a port and a path.
bool is_tail(std::string_view tail) {
  if (tail.starts_with(':')) {
    tail.remove_prefix(1);
    const std::size_t end = std::min(tail.find_first_not_of("0123456789"), tail.size());
    if (end < 1 || end > 5) return false;
    tail.remove_prefix(end);
  }
  return tail.empty() || std::string_view("/?#").find(tail[0]) != std::string_view::npos;
}

bool is_web_address(std::string_view word) {
  const std::string lower = to_lower(word.substr(0, 8));
  const std::size_t scheme = lower.starts_with("https://") ? 8 : lower.starts_with("http://") ? 7 : 0;
  const std::size_t www = lower.starts_with("www.") ? 4 : 0;
  const std::string_view rest = word.substr(scheme);
  const std::size_t bracket = rest.starts_with('[') ? rest.find(']') : std::string_view::npos;
  const std::size_t end =
      bracket != std::string_view::npos ? bracket + 1 : std::min(rest.find_first_of(":/?#"), rest.size());
  const std::string_view host = rest.substr(0, end);
  if (!is_tail(rest.substr(end))) return false;
  if (scheme > 0) return is_host(host) || is_ipv4(host) || is_ipv6(host);
  return (www > 0 && is_host(host.substr(www))) || is_known_host(host);
}

bool is_mail_address(std::string_view word) {
  const std::size_t at = word.rfind('@');
  if (at == std::string_view::npos || at == 0) return false;
  const std::string_view host = word.substr(at + 1);
  const std::size_t dot = host.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == host.size()) return false;
  std::size_t first = 0;
  return is_word(next_char(host, first)) && all_chars(host, in_mail_host) &&
         all_chars(host.substr(dot + 1), is_word);
}

std::size_t one_of(std::string_view text, Names marks, bool at_end) {
  for (const std::string_view mark : marks)
    if (at_end ? text.ends_with(mark) : text.starts_with(mark)) return mark.size();
  return 0;
}

// Closing brackets that a bracket within the word waits for are part of it.
void balance(std::string_view word, std::size_t& end) {
  static constexpr std::pair<std::string_view, std::string_view> pairs[] = {
      {"(", ")"}, {"<", ">"}, {"&lt;", "&gt;"}};
  for (const auto& [open, close] : pairs) {
    const std::int64_t opened = count(word.substr(0, end), open);
    if (opened <= count(word.substr(0, end), close)) continue;
    for (std::int64_t left = std::min(opened, count(word.substr(end), close)); left > 0; --left)
      end = word.find(close, end) + close.size();
  }
}

std::string link(std::string_view address, std::string_view attributes, std::string_view text) {
  std::string out = "<a href=\"";
  return out.append(address).append("\"").append(attributes).append(">").append(text).append("</a>");
}

std::string linked(std::string_view word, const LinkStyle& style) {
  if (is_web_address(word)) {
    const bool has_scheme = word.starts_with("https://") || word.starts_with("http://");
    std::string shown(word);
    if (style.longest && count_chars(word) > *style.longest)
      shown = std::string(word.substr(0, byte_of_char(word, *style.longest))) + "...";
    return link((has_scheme ? "" : "https://") + std::string(word), style.attributes, shown);
  }
  constexpr std::string_view mail = "mailto:";
  if (word.starts_with(mail) && is_mail_address(word.substr(mail.size())))
    return link(word, "", word.substr(mail.size()));
  if (!word.starts_with("www.") && !word.starts_with('@') && word.find(':') == std::string_view::npos &&
      is_mail_address(word))
    return link(std::string(mail) + std::string(word), "", word);
  std::string out(word);
  for (const std::string_view scheme : style.schemes)
    if (out != scheme && out.starts_with(scheme)) out = link(out, style.attributes, out);
  return out;
}

}  // namespace

std::string with_links(std::string_view html, const LinkStyle& style) {
  std::string out;
  while (!html.empty()) {
    const std::size_t blanks = html.size() - strip(html, Side::left).size();
    out += html.substr(0, blanks);
    html.remove_prefix(blanks);
    std::size_t size = 0;
    while (size < html.size()) {
      std::size_t next = size;
      if (is_space(next_char(html, next))) break;
      size = next;
    }
    const std::string_view word = html.substr(0, size);
    html.remove_prefix(size);
    std::size_t begin = 0, end = size;
    while (const std::size_t mark = one_of(word.substr(begin), {"(", "<", "&lt;"}, false)) begin += mark;
    while (const std::size_t mark =
               one_of(word.substr(begin, end - begin), {")", ">", ".", ",", "&gt;"}, true))
      end -= mark;
    std::size_t middle = end - begin;
    balance(word.substr(begin), middle);
    out.append(word.substr(0, begin)).append(linked(word.substr(begin, middle), style));
    out += word.substr(begin + middle);
  }
  return out;
}

}  // namespace rf::jinja
