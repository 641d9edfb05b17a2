#include "chat/jinja/heap.h"

#include <fmt/format.h>

#include "base/error.h"
#include "chat/jinja/text.h"

namespace rf::jinja {

std::string Object::repr() const {
  return fmt::format("<{}>", type_name());
}
Value Object::call(Render&, const Args&) {
  fail("'{}' object is not callable", type_name());
}
Value Object::attribute(Render&, std::string_view) {
  return Value::absent();
}
bool Object::assign(Render&, const Text*, const Value&) {
  return false;
}

const Text* Heap::view(std::string_view bytes, bool markup) {
  reserve(sizeof(Text));
  return &texts_.emplace_back(Text{.bytes = bytes, .own = {}, .chars = count_chars(bytes), .markup = markup});
}

const Text* Heap::text(std::string bytes, bool markup) {
  reserve(sizeof(Text) + bytes.size());
  Text& made = texts_.emplace_back();
  made.own = std::move(bytes);
  made.bytes = made.own;
  made.chars = count_chars(made.bytes);
  made.markup = markup;
  return &made;
}

List* Heap::list(std::vector<Value> items) {
  reserve(sizeof(List) + items.size() * sizeof(Value));
  return &lists_.emplace_back(List{.items = std::move(items)});
}

Dict* Heap::dict() {
  reserve(sizeof(Dict));
  return &dicts_.emplace_back();
}

void Heap::set(Dict& dict, const Value& key, const Value& v) {
  check_hashable(key);
  reserve(2 * sizeof(Dict::Entry));
  dict.set(key, v);
}

void Heap::too_long() const {
  fail("the template takes more than {} steps", limits_.steps);
}
void Heap::too_big() const {
  fail("the template uses more than {} bytes of memory", limits_.bytes);
}

void Heap::too_deep() {
  --depth_;
  fail("a value is nested more than {} deep", limits_.depth / 2);
}

void Heap::check_hashable(const Value& key, int depth, int& size) {
  constexpr int max_depth = 16, max_size = 1000;
  if (key.is(Kind::tuple)) {
    if (depth > max_depth || size > max_size) fail("a tuple used as a key has too many parts");
    for (const Value& v : key.list().items) check_hashable(v, depth + 1, ++size);
  } else if (key.is(Kind::list) || key.is_dict() || key.is(Kind::view)) {
    fail("unhashable type: '{}'", key.type_name());
  }
}

}  // namespace rf::jinja
