#include "app/constraint.h"

#include <unistd.h>

#include <utility>

#include "app/file.h"
#include "base/error.h"

namespace rf {
namespace {

bool is_json(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string::npos && (text[first] == '{' || text == "true" || text == "false");
}

}  // namespace

nlohmann::ordered_json read_tools(const AnswerOptions& options) {
  if (options.tools.empty()) return nullptr;
  nlohmann::ordered_json tools = read_json_file(options.tools, "tools");
  if (!tools.is_array()) fail("{}: expected a JSON array of tool definitions", options.tools);
  return tools;
}

bool shows_reasoning(const AnswerOptions& options) {
  return options.reasoning.empty() ? ::isatty(STDOUT_FILENO) == 1 : options.reasoning == "show";
}

bool asks_for_form(const AnswerOptions& options) {
  return !options.json_schema.empty() || !options.grammar.empty() || !options.regex.empty() ||
         !options.choices.empty();
}

std::shared_ptr<const TokenConstraint> constraint_of(const AnswerOptions& options, Constraints& constraints) {
  using Kind = ConstraintSource::Kind;
  const auto get = [&](const std::string& name, Kind kind, std::vector<std::string> texts) {
    try {
      return constraints.get({kind, std::move(texts)});
    } catch (const Error& error) {
      fail("{}: {}", name, error.what());
    }
  };
  const std::string& schema = options.json_schema;
  if (is_json(schema)) return get("--json-schema", Kind::json_schema, {schema});
  if (!schema.empty()) return get(schema, Kind::json_schema, {read_file(schema)});
  if (!options.grammar.empty()) return get(options.grammar, Kind::gbnf, {read_file(options.grammar)});
  if (!options.regex.empty()) return get("--regex", Kind::regex, {options.regex});
  if (!options.choices.empty()) return get("--choice", Kind::choice, options.choices);
  return nullptr;
}

}  // namespace rf
