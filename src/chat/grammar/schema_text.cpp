#include "chat/grammar/schema_text.h"

#include <cmath>

#include "base/error.h"
#include "chat/grammar/json_format.h"
#include "chat/grammar/regex.h"

namespace rf::grammar {
namespace {

constexpr std::int32_t most_counted = 1'000'000;
constexpr std::int32_t longest_beside_pattern = 1500;

std::vector<std::string> texts_of(const Schema& schema, const std::string& key) {
  std::vector<std::string> texts;
  if (!schema.json.contains(key)) return texts;
  const Json& value = schema.json[key];
  for (const Json& each : value.is_array() ? value : Json::array({value})) {
    if (!each.is_string()) fail("JSON schema, {}: expected a text", step(schema.path, key));
    texts.push_back(each.get<std::string>());
  }
  return texts;
}

PartId pattern_part(Rules& rules, const CharacterWriter& write, const std::string& pattern, bool anywhere,
                    const std::string& path) {
  try {
    return parse_regex(rules, pattern, write, anywhere);
  } catch (const Error& error) {
    fail("JSON schema, {}: {}", path, error.what());
  }
}

PartId length_part(Rules& rules, const CharacterWriter& write, std::int32_t least, std::int32_t most) {
  return rules.repeat(write(rules, CodePoints::all()), least, most);
}

// Whether no text of the graph has more than `most` bytes: without circles, along its longest way.
bool at_most(const Graph& graph, std::int32_t most) {
  enum : std::int32_t { open = -2, unseen = -1 };
  std::vector<std::int32_t> longest(graph.states.size(), unseen);
  std::vector<std::pair<std::size_t, std::size_t>> path;  // a state and the edge that comes next
  if (!graph.states.empty()) path.emplace_back(0, 0), longest[0] = open;
  std::vector<std::int32_t> best(graph.states.size(), 0);
  while (!path.empty()) {
    auto& [at, edge] = path.back();
    if (edge == graph.states[at].edges.size()) {
      longest[at] = best[at];
      path.pop_back();
      if (!path.empty()) best[path.back().first] = std::max(best[path.back().first], longest[at] + 1);
      continue;
    }
    const auto next = static_cast<std::size_t>(graph.states[at].edges[edge++].next);
    if (longest[next] == open) return false;
    if (longest[next] == unseen)
      longest[next] = open, path.emplace_back(next, 0);
    else
      best[at] = std::max(best[at], longest[next] + 1);
  }
  return graph.states.empty() || longest[0] <= most;
}

Graph graph_with(Rules& rules, const CharacterWriter& write, const TextLimits& limits,
                 const std::string& path) {
  std::optional<Graph> graph;
  const auto add = [&](PartId part) {
    Graph next = graph_of(rules, part);
    graph = graph ? common(*graph, next) : std::move(next);
  };
  for (const std::string& pattern : limits.patterns)
    add(pattern_part(rules, write, pattern, true, path + "/pattern"));
  for (const std::string& format : limits.formats)
    add(pattern_part(rules, write, std::string(format_pattern(format)), false, path + "/format"));
  const bool bounded = limits.most != unbounded && !(graph && at_most(*graph, limits.most));
  if (bounded && limits.most > longest_beside_pattern)
    fail("JSON schema, {}/maxLength: beside a pattern it is followed up to {}", path, longest_beside_pattern);
  if (bounded || limits.least > 0 || !graph)
    add(length_part(rules, write, limits.least, bounded ? limits.most : unbounded));
  return std::move(*graph);
}

}  // namespace

TextLimits text_limits(const Schema& schema) {
  TextLimits limits{.patterns = texts_of(schema, "pattern")};
  for (std::string& format : texts_of(schema, "format"))
    if (!format_pattern(format).empty()) limits.formats.push_back(std::move(format));
  if (schema.json.contains(excluded_key))
    for (const Json& value : schema.json[excluded_key])
      if (value.is_string()) limits.excluded.push_back(value.get<std::string>());
  limits.least = count(schema, "minLength", 0);
  limits.most = count(schema, "maxLength", unbounded);
  return limits;
}

Graph characters_graph(Rules& rules, const JsonText& text, const TextLimits& limits,
                       const std::string& path) {
  Graph graph = graph_with(rules, text.character(), limits, path);
  std::vector<PartId> excluded;
  for (const std::string& value : limits.excluded) excluded.push_back(rules.literal(text.spelled(value)));
  if (!excluded.empty()) graph = without(graph, graph_of(rules, rules.choice(std::move(excluded))));
  return graph;
}

std::optional<PartId> characters(Rules& rules, const JsonText& text, const TextLimits& limits,
                                 const std::string& path) {
  const bool bounded = limits.least > 0 || limits.most != unbounded;
  const std::size_t expressions = limits.patterns.size() + limits.formats.size();
  if (limits.excluded.empty() && expressions == 0) return std::nullopt;
  if (expressions == 1 && !bounded && limits.excluded.empty())
    return limits.patterns.empty()
               ? pattern_part(rules, text.character(), std::string(format_pattern(limits.formats[0])), false,
                              path + "/format")
               : pattern_part(rules, text.character(), limits.patterns[0], true, path + "/pattern");
  try {
    return rules.graph(characters_graph(rules, text, limits, path));
  } catch (const Error& error) {
    const std::string what = error.what();
    if (what.starts_with("JSON schema")) throw;
    fail("JSON schema, {}: {}", path, what);
  }
}

bool fits(const std::string& value, const TextLimits& limits, const std::string& path) {
  if (limits.any()) return true;
  Rules rules;
  const JsonText text(rules, Notation::json);
  TextLimits alone = limits;
  alone.formats.clear();
  return matches(characters_graph(rules, text, alone, path), text.spelled(value));
}

bool name_matches(const std::string& name, const std::string& pattern, const std::string& path) {
  return fits(name, {.patterns = {pattern}}, path);
}

std::int32_t count(const Schema& schema, const std::string& key, std::int32_t fallback) {
  if (!schema.json.contains(key)) return fallback;
  const Json& value = schema.json[key];
  const double number = value.is_number() ? value.get<double>() : -1;
  if (!(number >= 0 && number <= most_counted && std::floor(number) == number))
    fail("JSON schema, {}: expected a whole number up to {}, found {}", step(schema.path, key), most_counted,
         value.dump());
  return static_cast<std::int32_t>(number);
}

}  // namespace rf::grammar
