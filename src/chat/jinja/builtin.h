// Builtin: a filter, test, method or global function of the language, and the tables of them.
#pragma once
#include <array>
#include <span>
#include <string_view>

#include "chat/jinja/heap.h"

namespace rf::jinja {

class Render;

// A call's arguments by parameter; absent() for those not given.
struct Bound {
  static constexpr std::size_t max_parameters = 6;

  Value self;  // the filtered or tested value, or the method's object
  std::array<Value, max_parameters> arg;
  const Args& all;

  bool has(std::size_t i) const { return !arg[i].is_absent(); }
  // Each gives the fallback for an absent argument and throws Error on one of another type.
  Value get(std::size_t i, const Value& fallback) const { return has(i) ? arg[i] : fallback; }
  bool flag(Heap& heap, std::size_t i, bool fallback) const;
  std::int64_t integer(std::size_t i, std::int64_t fallback) const;
  std::string_view text(std::size_t i) const;
};

struct Builtin {
  std::string_view name;
  Value (*run)(Render& render, const Bound& bound);
  std::string_view parameters;  // names separated by commas; "*": any, found in Bound::all
  std::size_t required = 0;
};

// Each returns null when there is none of that name.
const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);
const Builtin* find_method(Kind kind, std::string_view name);
const Builtin* find_global(std::string_view name);

// Binds the arguments to the parameters and runs it. Throws Error on missing, unknown or too many arguments.
Value call(Render& render, const Builtin& builtin, const Value& self, const Args& args);

// The tables, one a file.
std::span<const Builtin> text_filters();
std::span<const Builtin> html_filters();
std::span<const Builtin> sequence_filters();
std::span<const Builtin> selection_filters();
std::span<const Builtin> number_filters();
std::span<const Builtin> json_filters();
std::span<const Builtin> tests();
std::span<const Builtin> text_methods();
std::span<const Builtin> text_query_methods();
std::span<const Builtin> list_methods();
std::span<const Builtin> dict_methods();
std::span<const Builtin> globals();

}  // namespace rf::jinja
