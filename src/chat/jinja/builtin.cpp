#include "chat/jinja/builtin.h"

#include <algorithm>
#include <initializer_list>
#include <unordered_map>

#include "base/error.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/render.h"

namespace rf::jinja {
namespace {

using Table = std::unordered_map<std::string_view, const Builtin*>;

Table table(std::initializer_list<std::span<const Builtin>> parts) {
  Table t;
  for (const auto part : parts)
    for (const Builtin& b : part) t.emplace(b.name, &b);
  return t;
}

const Builtin* find(const Table& t, std::string_view name) {
  const auto it = t.find(name);
  return it == t.end() ? nullptr : it->second;
}

// Place of `name` in the comma-separated `parameters`; their number when it is not among them.
std::size_t place(std::string_view parameters, std::string_view name) {
  std::size_t i = 0;
  for (; !parameters.empty(); ++i) {
    const std::size_t end = std::min(parameters.find(','), parameters.size());
    if (parameters.substr(0, end) == name) break;
    parameters.remove_prefix(std::min(end + 1, parameters.size()));
  }
  return i;
}

}  // namespace

bool Bound::flag(Heap& heap, std::size_t i, bool fallback) const {
  return has(i) ? truth(heap, arg[i]) : fallback;
}

std::int64_t Bound::integer(std::size_t i, std::int64_t fallback) const {
  if (!has(i)) return fallback;
  if (arg[i].is_undefined()) fail("{}", arg[i].undefined_message());
  if (!arg[i].is_integral()) fail("'{}' object cannot be interpreted as an integer", arg[i].type_name());
  return arg[i].integer();
}

std::string_view Bound::text(std::size_t i) const {
  if (arg[i].is_undefined()) fail("{}", arg[i].undefined_message());
  if (!arg[i].is_text()) fail("expected a string, found {}", arg[i].type_name());
  return arg[i].str();
}

Value call(Render& render, const Builtin& builtin, const Value& self, const Args& args) {
  Bound bound{.self = self, .arg = {}, .all = args};
  if (builtin.parameters == "*") return builtin.run(render, bound);
  bound.arg.fill(Value::absent());
  const std::size_t parameters = builtin.parameters.empty() ? 0 : place(builtin.parameters, "");
  if (args.positional.size() > parameters)
    fail("{}() takes {} arguments, found {}", builtin.name, parameters, args.positional.size());
  std::copy(args.positional.begin(), args.positional.end(), bound.arg.begin());
  for (const auto& [name, value] : args.named) {
    const std::size_t i = place(builtin.parameters, name->bytes);
    if (i == parameters) fail("{}() got an unexpected keyword argument '{}'", builtin.name, name->bytes);
    if (bound.has(i)) fail("{}() got multiple values for argument '{}'", builtin.name, name->bytes);
    bound.arg[i] = value;
  }
  for (std::size_t i = 0; i < builtin.required; ++i)
    if (!bound.has(i)) fail("{}() is missing argument {} of ({})", builtin.name, i + 1, builtin.parameters);
  return builtin.run(render, bound);
}

const Builtin* find_filter(std::string_view name) {
  static const Table t = table({text_filters(), html_filters(), sequence_filters(), selection_filters(),
                                number_filters(), json_filters()});
  return find(t, name);
}

const Builtin* find_test(std::string_view name) {
  static const Table t = table({tests()});
  return find(t, name);
}

const Builtin* find_method(Kind kind, std::string_view name) {
  static const Table text = table({text_methods(), text_query_methods()});
  static const Table list = table({list_methods()});
  static const Table dict = table({dict_methods()});
  switch (kind) {
    case Kind::text:
      return find(text, name);
    case Kind::list:
      return find(list, name);
    case Kind::tuple:
      return name == "count" || name == "index" ? find(list, name) : nullptr;
    case Kind::dict:
      return find(dict, name);
    default:
      return nullptr;
  }
}

const Builtin* find_global(std::string_view name) {
  static const Table t = table({globals()});
  return find(t, name);
}

}  // namespace rf::jinja
