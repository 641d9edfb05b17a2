#include "chat/dialect/literal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "chat/dialect/marks.h"

namespace rf::dialect {
namespace {

using Json = nlohmann::ordered_json;
using MaybeJson = std::optional<Json>;

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}

class LiteralParser {
 public:
  LiteralParser(std::string_view text, std::string_view quote) : text_(text), quote_(quote) {}

  MaybeJson whole() {
    MaybeJson value = this->value(0);
    skip_space();
    return value && text_.empty() ? value : std::nullopt;
  }

 private:
  MaybeJson value(int depth);
  MaybeJson list(char close, int depth);
  MaybeJson dict(int depth);
  MaybeJson string();
  MaybeJson word();
  bool escape(std::string& out);

  void skip_space() { text_.remove_prefix(std::min(text_.find_first_not_of(white), text_.size())); }
  bool eat(std::string_view part) {
    skip_space();
    if (part.empty() || !text_.starts_with(part)) return false;
    text_.remove_prefix(part.size());
    return true;
  }

  std::string_view text_, quote_;
};

MaybeJson LiteralParser::value(int depth) {
  skip_space();
  if (text_.empty() || depth > 64) return std::nullopt;
  if (eat("[")) return list(']', depth);
  if (eat("(")) return list(')', depth);
  if (eat("{")) return dict(depth);
  if (text_[0] == '"' || text_[0] == '\'' || (!quote_.empty() && text_.starts_with(quote_))) return string();
  return word();
}

MaybeJson LiteralParser::list(char close, int depth) {
  Json out = Json::array();
  const std::string_view end(&close, 1);
  while (!eat(end)) {
    MaybeJson item = value(depth + 1);
    if (!item) return std::nullopt;
    out.push_back(std::move(*item));
    if (!eat(",")) return eat(end) ? MaybeJson(std::move(out)) : std::nullopt;
  }
  return out;
}

MaybeJson LiteralParser::dict(int depth) {
  Json out = Json::object();
  while (!eat("}")) {
    skip_space();
    std::string key;
    if (!text_.empty() && is_word(text_[0])) {
      const std::size_t end =
          static_cast<std::size_t>(std::ranges::find_if_not(text_, is_word) - text_.begin());
      key = text_.substr(0, end);
      text_.remove_prefix(end);
    } else {
      const MaybeJson quoted = value(depth + 1);
      if (!quoted || !quoted->is_string()) return std::nullopt;
      key = quoted->get<std::string>();
    }
    if (!eat(":")) return std::nullopt;
    MaybeJson item = value(depth + 1);
    if (!item) return std::nullopt;
    out[key] = std::move(*item);
    if (!eat(",")) return eat("}") ? MaybeJson(std::move(out)) : std::nullopt;
  }
  return out;
}

MaybeJson LiteralParser::string() {
  const bool own = !quote_.empty() && text_.starts_with(quote_);
  const std::string close(own ? quote_ : text_.substr(0, 1));
  text_.remove_prefix(close.size());
  std::string out;
  while (!text_.empty() && !text_.starts_with(close)) {
    if (text_[0] == '\\' && !own) {
      if (!escape(out)) return std::nullopt;
      continue;
    }
    out += text_[0];
    text_.remove_prefix(1);
  }
  if (text_.empty()) return std::nullopt;
  text_.remove_prefix(close.size());
  return Json(std::move(out));
}

// JSON's escapes and \'; any other stands for itself, as in Python.
bool LiteralParser::escape(std::string& out) {
  if (text_.size() < 2) return false;
  const char c = text_[1];
  if (c == '\'' || c == '\n') {
    if (c == '\'') out += c;
    text_.remove_prefix(2);
    return true;
  }
  std::size_t bytes = c == 'u' ? 6 : 2;
  if (c == 'u' && text_.size() >= 12 && text_.substr(6, 2) == "\\u") bytes = 12;  // a surrogate pair, perhaps
  for (; bytes >= 2; bytes = bytes == 12 ? 6 : 0) {
    const Json parsed = Json::parse("\"" + std::string(text_.substr(0, bytes)) + "\"", nullptr, false);
    if (parsed.is_discarded()) continue;
    out += parsed.get<std::string>();
    text_.remove_prefix(bytes);
    return true;
  }
  out += text_.substr(0, 2);
  text_.remove_prefix(2);
  return true;
}

MaybeJson LiteralParser::word() {
  const auto more = [](char c) { return is_word(c) || c == '+'; };
  const std::size_t end = static_cast<std::size_t>(std::ranges::find_if_not(text_, more) - text_.begin());
  std::string word(text_.substr(0, end));
  text_.remove_prefix(end);
  if (word == "None") word = "null";
  if (word == "True" || word == "False") word[0] = static_cast<char>(std::tolower(word[0]));
  Json parsed = Json::parse(word, nullptr, false);
  if (parsed.is_discarded()) return std::nullopt;
  return parsed;
}

// The types that a schema allows, "number" for integers too; none where it says nothing.
std::set<std::string> types_of(const Json* schema) {
  std::set<std::string> types;
  if (schema == nullptr || !schema->is_object()) return types;
  const auto add_type = [&](const Json& type) {
    if (type.is_string()) types.insert(type == "integer" ? "number" : type.get<std::string>());
  };
  if (const auto at = schema->find("type"); at != schema->end()) {
    add_type(*at);
    if (at->is_array()) std::ranges::for_each(*at, add_type);
  } else if (const auto values = schema->find("enum"); values != schema->end() && values->is_array()) {
    for (const Json& value : *values) types.insert(value.type_name());
  } else {
    for (const char* key : {"anyOf", "oneOf"})
      if (const auto any = schema->find(key); any != schema->end() && any->is_array())
        for (const Json& branch : *any) {
          const auto more = types_of(&branch);
          if (more.empty()) return {};
          types.insert(more.begin(), more.end());
        }
  }
  return types;
}

}  // namespace

MaybeJson parse_literal(std::string_view text, std::string_view quote) {
  return LiteralParser(text, quote).whole();
}

std::size_t LiteralScanner::scan(std::string_view text, bool last) {
  std::size_t at = 0;
  while (at < text.size() && !done_) {
    const char c = text[at];
    const std::string_view rest = text.substr(at);
    if (!open_.empty()) {
      const Begins closes = escaped_ ? Begins::no : begins_with(rest, open_, last);
      if (closes == Begins::unknown) return at;
      escaped_ = !escaped_ && c == '\\' && open_.size() == 1;
      at += closes == Begins::yes ? open_.size() : 1;
      if (closes == Begins::yes) open_ = {};
      continue;
    }
    const Begins own = begins_with(rest, quote_, last);
    if (own == Begins::unknown) return at;
    if (own == Begins::yes) {
      open_ = quote_;
      at += quote_.size();
      continue;
    }
    if (c == '"') open_ = "\"";
    if (c == '\'' && quote_.empty()) open_ = "'";
    if (depth_ == 0 && std::string_view(",)]}").find(c) != std::string_view::npos) {
      done_ = true;
      break;
    }
    if (c == '(' || c == '[' || c == '{') ++depth_;
    if (c == ')' || c == ']' || c == '}') --depth_;
    ++at;
  }
  return at;
}

std::string value_of(std::string_view text, const Json* schema) {
  const std::set<std::string> types = types_of(schema);
  const auto fits = [&](const Json& value) {
    return types.empty() || (!value.is_string() && types.contains(value.type_name()));
  };
  const std::size_t begin = std::min(text.find_first_not_of(white), text.size());
  const std::string_view core = text.substr(begin, text.find_last_not_of(white) + 1 - begin);
  if (const Json value = Json::parse(core, nullptr, false); !value.is_discarded() && fits(value))
    return std::string(core);
  if (const MaybeJson value = parse_literal(core); value && fits(*value))
    return value->dump(-1, ' ', false, Json::error_handler_t::replace);
  return json_text(text);
}

bool only_text(const Json* schema) {
  return types_of(schema) == std::set<std::string>{"string"};
}

std::string json_text(std::string_view text) {
  return "\"" + json_escaped(text) + "\"";
}

std::string json_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out;
}

}  // namespace rf::dialect
