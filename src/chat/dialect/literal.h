// Values as models write them where it is not JSON: Python's literals, and texts between quotes of a
// dialect's own.
#pragma once
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace rf::dialect {

// A number, a text in ' or " or `quote`, None, True, false, ..., a list, tuple or dict of them; all of
// `text`. Keys of a dict may stand without quotes. None where it is something else, or nested deeper than 64.
std::optional<nlohmann::ordered_json> parse_literal(std::string_view text, std::string_view quote = {});

// Finds the end of such a value: a comma or closing bracket outside of it.
class LiteralScanner {
 public:
  explicit LiteralScanner(std::string_view quote) : quote_(quote) {}

  // How many bytes of `text`, the next of the text, belong to the value; fewer than all where done() or,
  // unless `last`, where more must be seen.
  std::size_t scan(std::string_view text, bool last);
  bool done() const { return done_; }

 private:
  std::string_view quote_;  // "": ' and "
  std::size_t depth_ = 0;
  std::string_view open_ = {};  // the quote that the text within began with
  bool escaped_ = false, done_ = false;
};

// A parameter's text as JSON: by the types that `schema` (null: unknown) allows; a text where nothing else
// fits.
std::string value_of(std::string_view text, const nlohmann::ordered_json* schema);
// Whether nothing but texts fit the schema.
bool only_text(const nlohmann::ordered_json* schema);

std::string json_text(std::string_view text);     // in quotes
std::string json_escaped(std::string_view text);  // without them; `text` is whole characters or parts of them

}  // namespace rf::dialect
