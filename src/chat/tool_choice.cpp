#include "chat/tool_choice.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "chat/dialect/literal.h"
#include "chat/dialect/marks.h"
#include "chat/grammar/code_points.h"
#include "chat/grammar/json_schema.h"
#include "chat/grammar/json_text.h"

namespace rf {
namespace {

using grammar::Json;
using grammar::Notation;
using grammar::PartId;
using grammar::Rules;
using grammar::unbounded;
using Body = CallFormat::Body;

struct Function {
  std::string name;
  Json parameters;
};

std::vector<Function> functions_of(const Json& tools) {
  std::vector<Function> functions;
  for (const Json& tool : tools) {
    const Json& function = tool.contains("function") ? tool["function"] : tool;
    if (!function.is_object() || !function.contains("name") || !function["name"].is_string())
      fail("tools: expected functions with names, found {}", function.dump());
    functions.push_back({function["name"], function.value("parameters", Json::object())});
    Json& parameters = functions.back().parameters;
    if (!parameters.is_object()) parameters = Json::object();
    if (!parameters.contains("type")) parameters["type"] = "object";
  }
  if (functions.empty()) fail("tools: expected at least one, found none");
  return functions;
}

class CallWriter {
 public:
  CallWriter(Rules& rules, const Dialect& dialect)
      : rules_(rules), dialect_(dialect), format_(*dialect.calls) {}

  PartId reply(const std::vector<Function>& functions, std::string_view state, bool parallel);

 private:
  PartId text(std::string_view t) { return rules_.literal(t); }
  PartId sequence(std::vector<PartId> parts) { return rules_.sequence(std::move(parts)); }
  PartId space() { return rules_.repeat(rules_.choice({rules_.byte(' '), rules_.byte('\n')}), 0, 2); }
  PartId until(std::string_view mark) { return grammar::text_until(rules_, mark); }
  PartId schema(const Json& json, Notation notation = Notation::json);
  PartId word() {
    return rules_.repeat(
        grammar::utf8_character(rules_, {{'-', '-'}, {'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}), 1, 64);
  }
  PartId calls(const std::vector<Function>& functions, bool opened, bool parallel);
  PartId call(const Function& function);
  PartId object(const Function& function);
  PartId named(const Function& function);
  PartId parameters(const Function& function);
  PartId value(const Json& json);
  PartId channels(const std::vector<Function>& functions);

  Rules& rules_;
  const Dialect& dialect_;
  const CallFormat& format_;
};

PartId CallWriter::schema(const Json& json, Notation notation) {
  try {
    Rules alone;  // so that one that fails leaves nothing behind
    grammar::add_json_schema(alone, json.dump(), notation);
  } catch (const Error&) {
    return grammar::add_json_schema(rules_, R"({"type": "object"})", notation);
  }
  return grammar::add_json_schema(rules_, json.dump(), notation);
}

PartId CallWriter::reply(const std::vector<Function>& functions, std::string_view state, bool parallel) {
  if (format_.body == Body::no_calls) fail("tool choice: the model has no calls of tools");
  if (format_.body == Body::channels) return channels(functions);
  const PartId calls = this->calls(functions, state == "call", parallel);
  if (dialect_.reasoning == nullptr || state == "call") return calls;
  const PartId thought = sequence({until(dialect_.reasoning->close), space()});
  if (state == "reasoning") return sequence({thought, calls});
  return sequence({rules_.optional(sequence({text(dialect_.reasoning->open), thought})), calls});
}

// `opened`: the prompt has already opened the first one.
PartId CallWriter::calls(const std::vector<Function>& functions, bool opened, bool parallel) {
  std::vector<PartId> each;
  for (const Function& function : functions) each.push_back(call(function));
  const PartId one = rules_.choice(std::move(each));
  const PartId open = format_.bare ? space() : sequence({text(format_.open), space()});
  const PartId close = format_.bare ? sequence({}) : sequence({space(), text(format_.close)});
  if (format_.list) {
    const PartId more = sequence({rules_.byte(','), space(), one});
    return sequence({opened ? space() : open, text(format_.fenced ? "```json\n" : ""), rules_.byte('['),
                     space(), one, rules_.repeat(more, 0, parallel ? unbounded : 0), space(),
                     rules_.byte(']'), close});
  }
  if (format_.lines) {
    const PartId more = sequence({rules_.byte('\n'), one});
    return sequence({opened ? space() : open, one, rules_.repeat(more, 0, parallel ? unbounded : 0), close});
  }
  const PartId next = sequence({open, one, close});
  const PartId more = rules_.repeat(sequence({space(), next}), 0, parallel && !format_.bare ? unbounded : 0);
  const PartId first = opened ? sequence({one, close}) : next;
  if (format_.section_open.empty()) return sequence({space(), first, more});
  const PartId end = sequence({space(), text(format_.section_close)});
  const PartId begin = sequence({space(), text(format_.section_open), space()});
  const bool own = format_.own_section;
  const PartId section = sequence({begin, first, own ? sequence({}) : more, end});
  return rules_.repeat(section, 1, own && parallel ? unbounded : 1);
}

PartId CallWriter::call(const Function& function) {
  switch (format_.body) {
    case Body::named_json:
      return named(function);
    case Body::parameters:
      return parameters(function);
    case Body::braces:
      return sequence({text(std::string(format_.name_prefix) + function.name),
                       schema(function.parameters, Notation::gemma)});
    case Body::json_or_python:
      if (format_.python)
        return sequence({text(function.name), schema(function.parameters, Notation::keywords)});
      return object(function);
    default:
      return object(function);
  }
}

PartId CallWriter::object(const Function& function) {
  const std::string head = "{\"" + std::string(format_.name_key) +
                           "\": " + dialect::json_text(function.name) + ", \"" +
                           std::string(format_.arguments_key) + "\": ";
  return sequence({text(head), schema(function.parameters), rules_.byte('}')});
}

PartId CallWriter::named(const Function& function) {
  std::vector<PartId> parts;
  if (!format_.skipped_end.empty()) parts = {word(), text(format_.skipped_end), space()};
  std::string head(format_.name_begin);
  head += format_.name_prefix;
  head += function.name;
  parts.push_back(text(head));
  if (format_.name_is_id) {
    parts.push_back(rules_.byte(':'));
    parts.push_back(rules_.repeat(rules_.range('0', '9'), 1, 2));
  }
  parts.push_back(text(format_.name_end));
  if (!format_.arguments_open.empty() && format_.arguments_open != format_.name_end)
    parts.insert(parts.end(), {space(), text(format_.arguments_open), space()});
  if (format_.fenced) parts.push_back(text("```json\n"));
  parts.push_back(schema(function.parameters));
  if (format_.fenced) parts.push_back(text("\n```"));
  return sequence(std::move(parts));
}

// In the schema's order; those that are not required may be left out.
PartId CallWriter::parameters(const Function& function) {
  std::vector<PartId> parts{text(function.name), text(format_.name_end), space()};
  const Json properties = function.parameters.value("properties", Json::object());
  const Json required = function.parameters.value("required", Json::array());
  for (const auto& [key, property] : properties.items()) {
    const bool is_text = dialect::only_text(&property) && !property.contains("enum");
    std::string head(format_.parameter_open);
    head += key;
    head += format_.key_end;
    if (!format_.typed_end.empty()) {
      head += dialect::only_text(&property) ? "true" : "false";
      head += format_.typed_end;
    }
    const PartId gap =
        format_.value_open.empty() ? sequence({}) : sequence({space(), text(format_.value_open)});
    const PartId body = is_text ? until(format_.value_close)
                                : sequence({space(), value(property), space(), text(format_.value_close)});
    const PartId parameter = sequence({text(head), gap, body, space()});
    const bool needed = std::find(required.begin(), required.end(), Json(key)) != required.end();
    parts.push_back(needed ? parameter : rules_.optional(parameter));
  }
  return sequence(std::move(parts));
}

// Texts of an enumeration stand without quotes.
PartId CallWriter::value(const Json& json) {
  if (!dialect::only_text(&json) || !json.contains("enum") || !json["enum"].is_array()) return schema(json);
  std::vector<PartId> choices;
  for (const Json& choice : json["enum"])
    if (choice.is_string()) choices.push_back(text(choice.get<std::string>()));
  return rules_.choice(std::move(choices));
}

PartId CallWriter::channels(const std::vector<Function>& functions) {
  std::vector<PartId> each;
  for (const Function& function : functions) {
    const std::string to = " to=functions." + function.name;
    const PartId head = rules_.choice({text(to + "<|channel|>commentary json<|message|>"),
                                       text("<|channel|>commentary" + to + " <|constrain|>json<|message|>")});
    each.push_back(sequence({head, schema(function.parameters)}));
  }
  const PartId thought =
      sequence({text("<|channel|>analysis<|message|>"), until("<|end|>"), text("<|start|>assistant")});
  return sequence({rules_.optional(thought), rules_.choice(std::move(each))});
}

}  // namespace

ConstraintSource tool_choice(const Json& tools, const Dialect& dialect, std::string_view prompt,
                             bool parallel) {
  const bool reasons =
      dialect.reasoning != nullptr && dialect::ends_with_mark(prompt, dialect.reasoning->open);
  const bool called = !dialect.calls->bare && dialect::ends_with_mark(prompt, dialect.calls->open);
  return {ConstraintSource::Kind::tool_calls,
          {tools.dump(),
           reasons  ? "reasoning"
           : called ? "call"
                    : "content",
           parallel ? "parallel" : "one"}};
}

Rules tool_call_rules(const Dialect& dialect, const ConstraintSource& source) {
  const std::vector<Function> functions = functions_of(Json::parse(source.texts.at(0)));
  Rules rules;
  rules.root = rules.add_rule("root", true);
  const PartId reply =
      CallWriter(rules, dialect).reply(functions, source.texts.at(1), source.texts.at(2) == "parallel");
  rules.define(rules.root, reply);
  return rules;
}

}  // namespace rf
