#include "chat/jinja/json.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "chat/jinja/builtin.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/print.h"
#include "chat/jinja/render.h"
#include "chat/jinja/text.h"

namespace rf::jinja {

Value from_json(Heap& heap, const nlohmann::ordered_json& json) {
  using Type = nlohmann::ordered_json::value_t;
  const Heap::Nesting nesting(heap);
  heap.work(1);
  switch (json.type()) {
    case Type::string:
      return heap.str_view(json.get_ref<const std::string&>());
    case Type::boolean:
      return Value(json.get<bool>());
    case Type::number_integer:
      return Value(json.get<std::int64_t>());
    case Type::number_unsigned: {
      const auto v = json.get<std::uint64_t>();
      constexpr auto max = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
      return v <= max ? Value(static_cast<std::int64_t>(v)) : Value(static_cast<double>(v));
    }
    case Type::number_float:
      return Value(json.get<double>());
    case Type::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(from_json(heap, item));
      return Value(heap.list(std::move(items)));
    }
    case Type::object: {
      Dict* dict = heap.dict();
      for (const auto& [key, value] : json.items())
        heap.set(*dict, heap.str_view(key), from_json(heap, value));
      return Value(dict);
    }
    default:
      return Value::none();
  }
}

namespace {

// json.dumps(value, ensure_ascii, indent, separators, sort_keys), as transformers replaces jinja's own
// filter.
Value f_tojson(Render& r, const Bound& b) {
  JsonStyle style;
  style.ascii = b.flag(r.heap(), 0, false);
  style.sort_keys = b.flag(r.heap(), 3, false);
  if (b.has(1) && !b.arg[1].is_none()) {
    constexpr std::int64_t max_indent = 1000;
    if (b.arg[1].is_text())
      style.indent = b.arg[1].str();
    else
      style.indent = std::string(
          static_cast<std::size_t>(std::clamp<std::int64_t>(b.integer(1, 0), 0, max_indent)), ' ');
    style.item_separator = ",";
  }
  if (b.has(2) && !b.arg[2].is_none()) {
    const std::vector<Value> both = items_of(r.heap(), b.arg[2]);
    if (both.size() != 2 || !both[0].is_text() || !both[1].is_text()) fail("separators must be two strings");
    style.item_separator = both[0].str();
    style.key_separator = both[1].str();
  }
  return r.heap().str(to_json(r.heap(), b.self, style));
}

// Keeps the parsed JSON alive as long as values that point into it.
class ParsedJson final : public Object {
 public:
  explicit ParsedJson(nlohmann::ordered_json json) : json_(std::move(json)) {}
  std::string_view type_name() const override { return "json"; }
  const nlohmann::ordered_json& json() const { return json_; }

 private:
  nlohmann::ordered_json json_;
};

// Not in transformers, but templates written for servers use it.
Value f_from_json(Render& r, const Bound& b) {
  if (!b.self.is_text()) fail("from_json needs a string, found {}", b.self.type_name());
  r.heap().reserve(b.self.str().size() * 16);
  auto json = nlohmann::ordered_json::parse(b.self.str(), nullptr, false);
  if (json.is_discarded()) fail("from_json: not JSON: {:.60}", b.self.str());
  return from_json(r.heap(), r.heap().make<ParsedJson>(std::move(json))->json());
}

}  // namespace

std::span<const Builtin> json_filters() {
  static constexpr Builtin table[] = {
      {"from_json", f_from_json, ""},
      {"tojson", f_tojson, "ensure_ascii,indent,separators,sort_keys"},
  };
  return table;
}

}  // namespace rf::jinja
