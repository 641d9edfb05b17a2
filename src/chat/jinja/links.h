// Links found in text, as jinja's urlize finds them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rf::jinja {

struct LinkStyle {
  std::optional<std::int64_t> longest;         // characters of a link's text that are shown
  std::string attributes = {};                 // of its tag: ` rel="noopener"`
  std::vector<std::string_view> schemes = {};  // that make links besides those of the web and of mail
};

// Escaped HTML with its addresses put into <a> tags.
std::string with_links(std::string_view html, const LinkStyle& style);

}  // namespace rf::jinja
