// Filters on HTML and addresses.
#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "chat/jinja/builtin.h"
#include "chat/jinja/links.h"
#include "chat/jinja/number.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/print.h"
#include "chat/jinja/render.h"
#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

// HTML that an autoescape block must not escape once more.
Value html(Render& r, std::string text) {
  return Value(r.heap().text(std::move(text), r.autoescape()));
}

Value f_safe(Render& r, const Bound& b) {
  const Value s = soft_str(r.heap(), b.self);
  return Value(r.heap().view(s.str(), true));
}
Value f_escape(Render& r, const Bound& b) {
  return escaped(r.heap(), b.self);
}
Value f_forceescape(Render& r, const Bound& b) {
  return Value(r.heap().text(html_escaped(soft_str(r.heap(), b.self).str()), true));
}

// The character that an entity such as &lt; or &#233; stands for, "" where it is not known.
std::string entity(std::string_view name) {
  static const std::unordered_map<std::string_view, std::string_view> named = {
      {"amp", "&"},    {"lt", "<"},     {"gt", ">"},     {"quot", "\""},  {"apos", "'"},   {"nbsp", "\u00a0"},
      {"copy", "©"},   {"reg", "®"},    {"trade", "™"},  {"hellip", "…"}, {"mdash", "—"},  {"ndash", "–"},
      {"lsquo", "‘"},  {"rsquo", "’"},  {"ldquo", "“"},  {"rdquo", "”"},  {"laquo", "«"},  {"raquo", "»"},
      {"bull", "•"},   {"middot", "·"}, {"times", "×"},  {"deg", "°"},    {"euro", "€"},   {"pound", "£"},
      {"yen", "¥"},    {"cent", "¢"},   {"sect", "§"},   {"para", "¶"},   {"plusmn", "±"}, {"frac12", "½"},
      {"agrave", "à"}, {"aacute", "á"}, {"acirc", "â"},  {"atilde", "ã"}, {"auml", "ä"},   {"aring", "å"},
      {"aelig", "æ"},  {"ccedil", "ç"}, {"egrave", "è"}, {"eacute", "é"}, {"ecirc", "ê"},  {"euml", "ë"},
      {"igrave", "ì"}, {"iacute", "í"}, {"icirc", "î"},  {"iuml", "ï"},   {"ntilde", "ñ"}, {"ograve", "ò"},
      {"oacute", "ó"}, {"ocirc", "ô"},  {"otilde", "õ"}, {"ouml", "ö"},   {"oslash", "ø"}, {"ugrave", "ù"},
      {"uacute", "ú"}, {"ucirc", "û"},  {"uuml", "ü"},   {"szlig", "ß"},  {"Auml", "Ä"},   {"Ouml", "Ö"},
      {"Uuml", "Ü"},   {"Eacute", "É"}, {"larr", "←"},   {"rarr", "→"},   {"le", "≤"},     {"ge", "≥"},
  };
  if (const auto at = named.find(name); at != named.end()) return std::string(at->second);
  if (!name.starts_with('#')) return "";
  const bool hex = name.size() > 1 && (name[1] | 0x20) == 'x';
  const auto code = parse_int(name.substr(hex ? 2 : 1), hex ? 16 : 10);
  if (!code || *code < 1 || *code > 0x10FFFF || (*code >= 0xD800 && *code < 0xE000)) return "";
  std::string out;
  append_utf8(out, static_cast<char32_t>(*code));
  return out;
}

std::string without_entities(std::string_view text) {
  constexpr std::size_t longest = 10;
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end =
        text[at] == '&' ? text.substr(0, at + longest).find(';', at) : std::string_view::npos;
    const std::string c = end == std::string_view::npos ? "" : entity(text.substr(at + 1, end - at - 1));
    out += c.empty() ? std::string(text.substr(at, 1)) : c;
    at = c.empty() ? at + 1 : end + 1;
  }
  return out;
}

// Without tags and comments, and with single spaces.
Value f_striptags(Render& r, const Bound& b) {
  const Value s = soft_str(r.heap(), b.self);
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
  return r.heap().str(without_entities(out));
}

std::string percent_encoded(std::string_view text, bool form_field) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                       std::string_view("_.-~").find(c) != std::string_view::npos ||
                       (c == '/' && !form_field);
    if (plain)
      out += c;
    else if (c == ' ' && form_field)
      out += '+';
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

// A text as part of a URL; a dict, or pairs, as a query.
Value f_urlencode(Render& r, const Bound& b) {
  Heap& heap = r.heap();
  if (b.self.is_text() || (!is_iterable(b.self) && !b.self.is_undefined()))
    return heap.str(percent_encoded(soft_str(heap, b.self).str(), false));
  std::string out;
  const auto add = [&](const Value& key, const Value& value) {
    if (!out.empty()) out += '&';
    out += percent_encoded(soft_str(heap, key).str(), true) + "=" +
           percent_encoded(soft_str(heap, value).str(), true);
  };
  if (b.self.is_dict()) {
    for (const auto& [key, value] : b.self.dict().entries()) add(key, value);
  } else {
    for (const Value& item : items_of(heap, b.self)) {
      const std::vector<Value> pair = items_of(heap, item);
      if (pair.size() != 2) fail("urlencode needs pairs, found {} values", pair.size());
      add(pair[0], pair[1]);
    }
  }
  return heap.str(std::move(out));
}

std::string attribute(std::string_view name, std::string_view value) {
  return value.empty() ? "" : fmt::format(" {}=\"{}\"", name, html_escaped(value));
}

bool is_scheme(std::string_view s) {
  while (s.ends_with('/')) s.remove_suffix(1);
  if (!s.ends_with(':') || s.size() < 3) return false;
  return std::ranges::all_of(s.substr(0, s.size() - 1), [](char c) {
    return is_word(static_cast<unsigned char>(c)) ||
           std::string_view(".+-").find(c) != std::string_view::npos;
  });
}

Value f_urlize(Render& r, const Bound& b) {
  const Value text = escaped(r.heap(), b.self);
  r.heap().reserve(8 * text.str().size());
  LinkStyle style;
  if (b.has(0) && !b.arg[0].is_none()) style.longest = b.integer(0, 0);
  std::set<std::string_view> relations = {"noopener"};
  if (b.flag(r.heap(), 1, false)) relations.insert("nofollow");
  if (b.has(3) && !b.arg[3].is_none())
    for (const std::string_view word : split_space(b.text(3), -1, false)) relations.insert(word);
  std::string rel;
  for (const std::string_view word : relations) rel.append(rel.empty() ? "" : " ").append(word);
  style.attributes =
      attribute("rel", rel) + attribute("target", b.has(2) && !b.arg[2].is_none() ? b.text(2) : "");
  if (b.has(4) && !b.arg[4].is_none())
    for (const Value& scheme : items_of(r.heap(), b.arg[4])) {
      if (!scheme.is_text() || !is_scheme(scheme.str()))
        fail("{} is not a valid URI scheme prefix", to_repr(r.heap(), scheme));
      style.schemes.push_back(scheme.str());
    }
  return html(r, with_links(text.str(), style));
}

Value f_xmlattr(Render& r, const Bound& b) {
  if (!b.self.is_dict()) fail("xmlattr needs a mapping, found {}", b.self.type_name());
  std::string out;
  for (const auto& [key, value] : b.self.dict().entries()) {
    if (value.is_none() || value.is_undefined()) continue;
    if (!key.is_text()) fail("xmlattr: an attribute's name is a string, found {}", key.type_name());
    if (key.str().find_first_of(" \t\n\r\f\v/>=") != std::string_view::npos)
      fail("Invalid character in attribute name: {}", quoted(key.str()));
    if (!out.empty()) out += ' ';
    out.append(escaped(r.heap(), key).str())
        .append("=\"")
        .append(escaped(r.heap(), value).str())
        .append("\"");
  }
  if (!out.empty() && b.flag(r.heap(), 0, true)) out.insert(0, 1, ' ');
  return html(r, std::move(out));
}

}  // namespace

std::span<const Builtin> html_filters() {
  static constexpr Builtin table[] = {
      {"e", f_escape, ""},
      {"escape", f_escape, ""},
      {"forceescape", f_forceescape, ""},
      {"safe", f_safe, ""},
      {"striptags", f_striptags, ""},
      {"urlencode", f_urlencode, ""},
      {"urlize", f_urlize, "trim_url_limit,nofollow,target,rel,extra_schemes"},
      {"xmlattr", f_xmlattr, "autospace"},
  };
  return table;
}

}  // namespace rf::jinja
