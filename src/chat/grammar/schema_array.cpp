// The part of SchemaWriter that writes arrays.
#include <algorithm>
#include <bit>

#include "base/error.h"
#include "chat/grammar/schema_writer.h"

namespace rf::grammar {

PartId SchemaWriter::array(const Schema& schema) {
  const Json& json = schema.json;
  std::int32_t least = count(schema, "minItems", 0), most = count(schema, "maxItems", unbounded);
  const Json prefix = json.value("prefixItems", Json::array());
  const Json items = json.value("items", Json(true));
  const auto fixed = static_cast<std::int32_t>(prefix.size());
  if (items == Json(false)) most = most == unbounded ? fixed : std::min(most, fixed);
  if (most != unbounded && most < least) return rules_.choice({});
  const bool contains = json.contains("contains") && count(schema, "minContains", 1) > 0;
  if (json.contains("maxContains")) wrong(schema, "maxContains", "\"maxContains\" is not supported");
  if (contains && (fixed > 0 || count(schema, "minContains", 1) > 1))
    wrong(schema, "contains", "is supported beside items that are all alike, for one of them");
  if (json.value("uniqueItems", Json(false)) == Json(true) && (most == unbounded || most > 1)) {
    if (contains || fixed > 0)
      wrong(schema, "uniqueItems", "is not supported beside contains or prefixItems");
    return distinct(schema, least, most);
  }
  if (most == 0) return contains ? rules_.choice({}) : text_.array(rules_.choice({}), true);
  if (contains)
    return containing(schema, value({items, step(schema.path, "items")}), std::max(1, least), most);
  // Backwards from the items after the prefix.
  const std::int32_t listed = most == unbounded ? fixed : std::min(fixed, most);
  PartId rest = rules_.sequence({}), first = rules_.choice({});
  if (most == unbounded || most > fixed) {
    const PartId item = value({items, step(schema.path, "items")});
    first = text_.list(item, std::max(1, least), most);
    rest = rules_.repeat(text_.after_comma(item), std::max(0, least - fixed),
                         most == unbounded ? unbounded : most - fixed);
  }
  for (std::int32_t i = listed - 1; i >= 0; --i) {
    const auto index = static_cast<std::size_t>(i);
    const PartId item = value({prefix[index], step(step(schema.path, "prefixItems"), std::to_string(i))});
    first = rules_.sequence({item, rest});
    rest = rules_.sequence({text_.after_comma(item), rest});
    if (i >= least) rest = rules_.optional(rest);
  }
  return text_.array(first, least == 0);
}

// One item at least, at any place, is what `contains` says and what all items are.
PartId SchemaWriter::containing(const Schema& schema, PartId item, std::int32_t least, std::int32_t most) {
  constexpr std::int32_t most_places = 64;
  const Json wanted = all_of(schema.json["contains"], schema.json.value("items", Json(true)));
  const PartId special = value({wanted, step(schema.path, "contains")});
  const PartId more = text_.after_comma(item);
  if (most == unbounded && least == 1) {
    const PartId after = rules_.repeat(more, 0, unbounded);
    const PartId later =
        rules_.sequence({item, rules_.repeat(more, 0, unbounded), text_.after_comma(special), after});
    return text_.array(rules_.choice({rules_.sequence({special, after}), later}), false);
  }
  if (std::max(least, most) > most_places)
    wrong(schema, "contains",
          fmt::format("beside minItems or maxItems is supported up to {} items", most_places));
  std::vector<PartId> places;
  const std::int32_t last = most == unbounded ? least - 1 : most - 1;
  for (std::int32_t at = 0; at <= last; ++at) {
    // Where there is no most, items before the last place may be more.
    const std::int32_t before = at - 1;
    const PartId after =
        rules_.repeat(more, std::max(0, least - at - 1), most == unbounded ? unbounded : most - at - 1);
    if (at == 0)
      places.push_back(rules_.sequence({special, after}));
    else
      places.push_back(rules_.sequence(
          {item, rules_.repeat(more, before, most == unbounded && at == last ? unbounded : before),
           text_.after_comma(special), after}));
  }
  return text_.array(rules_.choice(std::move(places)), false);
}

// Items that are all different: those of a short list, by which of them were there already.
PartId SchemaWriter::distinct(const Schema& schema, std::int32_t least, std::int32_t most) {
  constexpr std::size_t most_values = 8;
  const Schema items{schema.json.value("items", Json(true)), step(schema.path, "items")};
  const std::vector<Json> values = few_values(items);
  if (values.empty() || values.size() > most_values)
    wrong(schema, "uniqueItems",
          fmt::format("is supported where maxItems is 1, or for items of an \"enum\" of at most {} values",
                      most_values));
  const auto size = static_cast<unsigned>(values.size());
  std::vector<PartId> rest(std::size_t{1} << size);
  for (unsigned used = 1u << size; used-- > 0;) {
    const auto there = static_cast<std::int32_t>(std::popcount(used));
    std::vector<PartId> parts;
    if (there >= least) parts.push_back(rules_.sequence({}));
    for (unsigned i = 0; i < size && (most == unbounded || there < most); ++i)
      if ((used >> i & 1) == 0) {
        const PartId item = text_.exactly(values[i]);
        parts.push_back(rules_.sequence({used == 0 ? item : text_.after_comma(item), rest[used | 1u << i]}));
      }
    if (used == 0 && least == 0) parts.erase(parts.begin());
    rest[used] = rules_.choice(std::move(parts));
    if (used != 0) rest[used] = as_rule(rest[used], items.path + " distinct");
  }
  return text_.array(rest[0], least == 0);
}

// All values that a schema allows, where it lists them; none where it does not.
std::vector<Json> SchemaWriter::few_values(const Schema& schema) {
  std::vector<Json> values;
  for (const Schema& each : branches_.of(schema)) {
    Json listed = each.json.value("enum", Json());
    if (!listed.is_array() && each.json.contains("type")) {
      listed = Json::array();
      for (const std::string& type : types(each)) {
        if (type != "boolean" && type != "null") return {};
        for (const Json& v : type == "null" ? Json::array({nullptr}) : Json::array({false, true}))
          listed.push_back(v);
      }
    }
    if (!listed.is_array()) return {};
    for (const Json& value : listed)
      if (allows(each, value) && std::ranges::find(values, value) == values.end()) values.push_back(value);
  }
  return values;
}

}  // namespace rf::grammar
