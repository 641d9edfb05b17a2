// What a JSON schema says about texts: patterns, formats and lengths, as one language.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "chat/grammar/json_text.h"
#include "chat/grammar/regular.h"
#include "chat/grammar/schema_branches.h"

namespace rf::grammar {

struct TextLimits {
  std::vector<std::string> patterns{};       // all of them match
  std::vector<std::string> formats{};        // those that are known
  std::vector<std::string> excluded{};       // texts that are not meant
  std::int32_t least = 0, most = unbounded;  // characters

  bool any() const {
    return patterns.empty() && formats.empty() && excluded.empty() && least == 0 && most == unbounded;
  }
};

// Throws Error naming the place of a wrong keyword.
TextLimits text_limits(const Schema& schema);

// The characters of such texts as `text` writes them, without quotes; none where any text will do and any
// spelling. Throws Error naming the place for what is not understood, or too large together.
std::optional<PartId> characters(Rules& rules, const JsonText& text, const TextLimits& limits,
                                 const std::string& path);
Graph characters_graph(Rules& rules, const JsonText& text, const TextLimits& limits, const std::string& path);
bool fits(const std::string& value, const TextLimits& limits, const std::string& path);

// Whether a name matches the pattern of a patternProperties.
bool name_matches(const std::string& name, const std::string& pattern, const std::string& path);

// A keyword's whole number, for lengths and counts.
std::int32_t count(const Schema& schema, const std::string& key, std::int32_t fallback);

}  // namespace rf::grammar
