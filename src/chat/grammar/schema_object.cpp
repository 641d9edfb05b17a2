// The part of SchemaWriter that writes objects.
#include <algorithm>

#include "base/error.h"
#include "chat/grammar/schema_writer.h"

namespace rf::grammar {

PartId SchemaWriter::object(const Schema& schema, JsonText& text) {
  const Members all = members_of(schema, text);
  const auto needed = static_cast<std::int32_t>(all.required.size());
  const bool may_be_empty = needed == 0 && all.least <= 0;
  if (all.most != unbounded && (all.most < needed || all.most < all.least)) return rules_.choice({});
  if (all.most == 0) return may_be_empty ? text.object(rules_.choice({}), true) : rules_.choice({});
  const auto possible = static_cast<std::int32_t>(all.names.size());
  const bool plain = all.least <= std::max(needed, 1) &&
                     (all.most == unbounded || (!all.others.open && all.most >= possible));
  return text.object(plain ? members(schema, all, text) : counted(schema, all, text), may_be_empty);
}

SchemaWriter::Members SchemaWriter::members_of(const Schema& schema, JsonText& text) {
  const Json& json = schema.json;
  Members all{.names = {},
              .required = {},
              .others = {},
              .least = count(schema, "minProperties", 0),
              .most = count(schema, "maxProperties", unbounded)};
  if (json.contains("properties"))
    for (const auto& [name, unused] : json["properties"].items()) all.names.push_back(name);
  if (json.contains("required"))
    for (const Json& name : json["required"]) {
      if (!name.is_string()) wrong(schema, "required", "expected a list of names");
      if (all.required.insert(name.get<std::string>()).second &&
          std::ranges::find(all.names, name.get<std::string>()) == all.names.end())
        all.names.push_back(name.get<std::string>());
    }
  all.others = others_of(schema, all.names, text);
  std::erase_if(all.names, [&](const std::string& name) {
    return !all.required.contains(name) &&
           (property_schema(json, name, schema.path) == Json(false) || !may_be_named(schema, name));
  });
  return all;
}

// Whether propertyNames allows a name.
bool SchemaWriter::may_be_named(const Schema& schema, const std::string& name) {
  if (!schema.json.contains("propertyNames")) return true;
  const std::vector<Schema> any =
      branches_.of({schema.json["propertyNames"], step(schema.path, "propertyNames")});
  return std::ranges::any_of(any, [&](const Schema& each) {
    if (each.json.contains("enum") &&
        std::ranges::find(each.json["enum"], Json(name)) == each.json["enum"].end())
      return false;
    return (!each.json.contains("type") || types(each).contains("string")) &&
           fits(name, text_limits(each), each.path);
  });
}

// Names that match patterns have what all of these say; the rest of the names have additionalProperties.
SchemaWriter::Others SchemaWriter::others_of(const Schema& schema, const std::vector<std::string>& names,
                                             JsonText& text) {
  constexpr std::size_t most_patterns = 4;
  const Json& json = schema.json;
  const Json patterns = json.value("patternProperties", Json::object());
  const bool none_declared = !json.contains("properties") && patterns.empty() && names.empty();
  const Json additional = json.value("additionalProperties", Json(none_declared));
  Others others;
  if (patterns.empty() && !json.contains("propertyNames")) {
    others.open = additional != Json(false);
    if (others.open)
      others.members.push_back(text.member(text.key_other_than(names),
                                           value({additional, step(schema.path, "additionalProperties")})));
    return others;
  }
  if (patterns.size() > most_patterns)
    wrong(schema, "patternProperties", fmt::format("is supported up to {} patterns", most_patterns));
  Graph free = graph_of(
      rules_, text.bare_keys() ? text.key_other_than(names)
                               : rules_.repeat(text.character()(rules_, CodePoints::all()), 0, unbounded));
  std::vector<PartId> taken;
  for (const std::string& name : names) taken.push_back(rules_.literal(text.spelled(name)));
  if (!taken.empty()) free = without(free, graph_of(rules_, rules_.choice(std::move(taken))));
  if (json.contains("propertyNames")) {
    std::vector<PartId> named;
    for (const Schema& each : branches_.of({json["propertyNames"], step(schema.path, "propertyNames")})) {
      Graph allowed = characters_graph(rules_, text, text_limits(each), each.path);
      std::vector<PartId> listed;
      for (const Json& name : each.json.value("enum", Json::array()))
        if (name.is_string()) listed.push_back(rules_.literal(text.spelled(name.get<std::string>())));
      if (each.json.contains("enum"))
        allowed = common(allowed, graph_of(rules_, rules_.choice(std::move(listed))));
      named.push_back(rules_.graph(std::move(allowed)));
    }
    free = common(free, graph_of(rules_, rules_.choice(std::move(named))));
  }
  std::vector<std::pair<Graph, Json>> matched;  // by pattern
  for (const auto& [pattern, its] : patterns.items()) {
    const TextLimits limits{.patterns = {pattern}};
    matched.emplace_back(characters_graph(rules_, text, limits, step(schema.path, "patternProperties")), its);
  }
  for (unsigned set = 0; set < 1u << matched.size(); ++set) {
    Graph keys = free;
    Json its = set == 0 ? additional : Json(true);
    for (std::size_t i = 0; i < matched.size(); ++i) {
      const bool in = (set >> i & 1) != 0;
      keys = in ? common(keys, matched[i].first) : without(keys, matched[i].first);
      if (in) its = all_of(its, matched[i].second);
    }
    if (keys.states.empty() || its == Json(false)) continue;
    const PartId key = rules_.graph(std::move(keys));
    others.open = true;
    others.members.push_back(text.member(
        text.bare_keys() ? key : text.quoted(key),
        value({its, step(schema.path, set == 0 ? "additionalProperties" : "patternProperties")})));
  }
  return others;
}

// A declared property's value; `never`: it has none.
PartId SchemaWriter::declared(const Schema& schema, const std::string& name, bool& never) {
  const Json its = property_schema(schema.json, name, schema.path);
  never = its == Json(false) || !may_be_named(schema, name);
  return never ? rules_.choice({}) : value({its, step(step(schema.path, "properties"), name)});
}

// Members come in the order of their names, those that are not required may be left out, others come last. A
// rule for each place holds what may come after a member and before that place.
PartId SchemaWriter::members(const Schema& schema, const Members& all, JsonText& text) {
  PartId first = rules_.choice({}), rest = rules_.sequence({});
  if (all.others.open) {
    const PartId other = rules_.choice(all.others.members);
    first = text.list(other, 1, unbounded);
    rest = rules_.repeat(text.after_comma(other), 0, unbounded);
  }
  for (auto name = all.names.rbegin(); name != all.names.rend(); ++name) {
    const std::string path = step(step(schema.path, "properties"), *name);
    const bool needed = all.required.contains(*name);
    bool never = false;
    const PartId its = declared(schema, *name, never);
    const PartId member = text.member(text.key(*name), its);
    const PartId with = rules_.sequence({member, rest});
    first = needed ? with : rules_.choice({with, first});
    const PartId comma = rules_.sequence({text.after_comma(member), rest});
    rest = as_rule(needed ? comma : rules_.choice({comma, rest}), path + " and on");
    if (!needed) first = as_rule(first, path + " first");
  }
  return first;
}

// The same with a number of members: what may come at a place after so many of them. Names that are not
// declared may come twice, so that one of them at most counts for the least.
PartId SchemaWriter::counted(const Schema& schema, const Members& all, JsonText& text) {
  const auto size = static_cast<std::int32_t>(all.names.size());
  if (all.least > size + (all.others.open ? 1 : 0)) {
    if (!all.others.open) return rules_.choice({});
    wrong(schema, "minProperties", "is supported up to one more than the properties that are declared");
  }
  const std::int32_t top = all.most == unbounded ? std::max(all.least, 1) : all.most;
  const PartId other = all.others.open ? rules_.choice(all.others.members) : rules_.choice({});
  std::vector<PartId> rest;  // by the members so far
  for (std::int32_t n = 0; n <= top; ++n) {
    const std::int32_t least = std::max(0, all.least - n);
    const std::int32_t most = !all.others.open ? 0 : all.most == unbounded ? unbounded : all.most - n;
    if (least > 1 || (most != unbounded && least > most))
      rest.push_back(rules_.choice({}));
    else if (most == 0)
      rest.push_back(n == 0 ? rules_.choice({}) : rules_.sequence({}));
    else
      rest.push_back(n == 0 ? text.list(other, 1, most)
                            : rules_.repeat(text.after_comma(other), least, most));
  }
  for (auto name = all.names.rbegin(); name != all.names.rend(); ++name) {
    bool never = false;
    const PartId member = text.member(text.key(*name), declared(schema, *name, never));
    const bool needed = all.required.contains(*name);
    std::vector<PartId> before;
    for (std::int32_t n = 0; n <= top; ++n) {
      std::vector<PartId> parts;
      const std::int32_t next = all.most == unbounded ? std::min(n + 1, top) : n + 1;
      if (next <= top)
        parts.push_back(rules_.sequence(
            {n == 0 ? member : text.after_comma(member), rest[static_cast<std::size_t>(next)]}));
      if (!needed) parts.push_back(rest[static_cast<std::size_t>(n)]);
      before.push_back(
          as_rule(rules_.choice(std::move(parts)), step(schema.path, *name) + " of " + std::to_string(n)));
    }
    rest = std::move(before);
  }
  return rest[0];
}

}  // namespace rf::grammar
