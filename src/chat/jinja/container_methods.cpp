// Methods of list, tuple and dict. Hugging Face's sandbox refuses those that change their object; templates
// written for other engines need them, and what they change lives no longer than the render.
#include <algorithm>

#include "base/error.h"
#include "chat/jinja/builtin.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/print.h"
#include "chat/jinja/render.h"

namespace rf::jinja {
namespace {

std::vector<Value>& items(const Bound& b) {
  return b.self.list().items;
}

Value l_append(Render& r, const Bound& b) {
  r.heap().append(b.self.list(), b.arg[0]);
  return Value::none();
}
Value l_extend(Render& r, const Bound& b) {
  for (const Value& v : items_of(r.heap(), b.arg[0])) r.heap().append(b.self.list(), v);
  return Value::none();
}
Value l_insert(Render& r, const Bound& b) {
  const auto size = static_cast<std::int64_t>(items(b).size());
  std::int64_t at = b.integer(0, 0);
  if (at < 0) at += size;
  r.heap().reserve(sizeof(Value));
  r.heap().work(items(b).size() / 16);
  items(b).insert(items(b).begin() + std::clamp<std::int64_t>(at, 0, size), b.arg[1]);
  return Value::none();
}
Value l_pop(Render& r, const Bound& b) {
  const auto size = static_cast<std::int64_t>(items(b).size());
  std::int64_t at = b.integer(0, -1);
  if (at < 0) at += size;
  if (at < 0 || at >= size) fail("pop index out of range");
  r.heap().work(items(b).size() / 16);
  const Value v = items(b)[static_cast<std::size_t>(at)];
  items(b).erase(items(b).begin() + at);
  return v;
}
Value l_reverse(Render& r, const Bound& b) {
  r.heap().work(items(b).size() / 16);
  std::reverse(items(b).begin(), items(b).end());
  return Value::none();
}
Value l_clear(Render&, const Bound& b) {
  items(b).clear();
  return Value::none();
}
Value l_copy(Render& r, const Bound& b) {
  r.heap().work(items(b).size() / 16);
  return Value(r.heap().list(items(b)));
}
Value l_count(Render& r, const Bound& b) {
  return Value(static_cast<std::int64_t>(std::count_if(
      items(b).begin(), items(b).end(), [&](const Value& v) { return equal(r.heap(), v, b.arg[0]); })));
}
Value l_index(Render& r, const Bound& b) {
  const auto at = std::find_if(items(b).begin(), items(b).end(),
                               [&](const Value& v) { return equal(r.heap(), v, b.arg[0]); });
  if (at == items(b).end()) fail("{} is not in list", to_repr(r.heap(), b.arg[0]));
  return Value(static_cast<std::int64_t>(at - items(b).begin()));
}

Value view(Render& r, const Bound& b, std::string_view label) {
  const Dict& dict = b.self.dict();
  r.heap().work(dict.size());
  std::vector<Value> out;
  out.reserve(dict.size());
  for (const auto& [key, value] : dict.entries())
    out.push_back(label == "dict_keys"     ? key
                  : label == "dict_values" ? value
                                           : Value(r.heap().list({key, value}), Kind::tuple));
  List* list = r.heap().list(std::move(out));
  list->label = label;
  return Value(list, Kind::view);
}
Value d_keys(Render& r, const Bound& b) {
  return view(r, b, "dict_keys");
}
Value d_values(Render& r, const Bound& b) {
  return view(r, b, "dict_values");
}
Value d_items(Render& r, const Bound& b) {
  return view(r, b, "dict_items");
}

const Value* found(const Bound& b) {
  Heap::check_hashable(b.arg[0]);
  return b.self.dict().find(b.arg[0]);
}
Value d_get(Render&, const Bound& b) {
  const Value* v = found(b);
  return v != nullptr ? *v : b.get(1, Value::none());
}
Value d_pop(Render& r, const Bound& b) {
  const Value* v = found(b);
  if (v == nullptr && !b.has(1)) fail("KeyError: {}", to_repr(r.heap(), b.arg[0]));
  const Value out = v != nullptr ? *v : b.arg[1];
  r.heap().work(b.self.dict().size());
  b.self.dict().erase(b.arg[0]);
  return out;
}
Value d_setdefault(Render& r, const Bound& b) {
  if (const Value* v = found(b)) return *v;
  const Value fallback = b.get(1, Value::none());
  r.heap().set(b.self.dict(), b.arg[0], fallback);
  return fallback;
}
Value d_update(Render& r, const Bound& b) {
  for (const Value& other : b.all.positional) {
    if (!other.is_dict()) fail("update needs a mapping, found {}", other.type_name());
    const std::vector<Dict::Entry> entries = other.dict().entries();
    for (const auto& [key, value] : entries) r.heap().set(b.self.dict(), key, value);
  }
  for (const auto& [name, value] : b.all.named) r.heap().set(b.self.dict(), Value(name), value);
  return Value::none();
}
Value d_clear(Render&, const Bound& b) {
  b.self.dict().clear();
  return Value::none();
}
Value d_copy(Render& r, const Bound& b) {
  Dict* copy = r.heap().dict();
  for (const auto& [key, value] : b.self.dict().entries()) r.heap().set(*copy, key, value);
  r.heap().work(copy->size());
  return Value(copy);
}

}  // namespace

std::span<const Builtin> list_methods() {
  static constexpr Builtin table[] = {
      {"append", l_append, "object", 1},
      {"clear", l_clear, ""},
      {"copy", l_copy, ""},
      {"count", l_count, "value", 1},
      {"extend", l_extend, "iterable", 1},
      {"index", l_index, "value", 1},
      {"insert", l_insert, "index,object", 2},
      {"pop", l_pop, "index"},
      {"reverse", l_reverse, ""},
  };
  return table;
}

std::span<const Builtin> dict_methods() {
  static constexpr Builtin table[] = {
      {"clear", d_clear, ""},
      {"copy", d_copy, ""},
      {"get", d_get, "key,default", 1},
      {"items", d_items, ""},
      {"keys", d_keys, ""},
      {"pop", d_pop, "key,default", 1},
      {"setdefault", d_setdefault, "key,default", 1},
      {"update", d_update, "*"},
      {"values", d_values, ""},
  };
  return table;
}

}  // namespace rf::jinja
