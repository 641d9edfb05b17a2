// Python's two ways to format a string: "..." % values, and "...".format(...).
#pragma once
#include "chat/jinja/heap.h"

namespace rf::jinja {

// `values`: a tuple of arguments, a dict for %(name)s, or the one argument.
Value percent_format(Heap& heap, const Value& format, const Value& values);
Value str_format(Heap& heap, const Value& format, const Args& args);

// One replacement's layout, as both ways know it.
struct Spec {
  std::string fill = " ";
  char align = 0;  // < > ^ =
  char sign = '-';
  bool alternate = false;
  char group = 0;  // , or _ between thousands
  std::int64_t width = 0;
  std::int64_t precision = -1;
  char type = 0;
};
// The text of a number under `spec`, padded. Throws Error on a type that does not fit.
std::string format_number(const Value& v, const Spec& spec);
std::string pad(std::string body, const Spec& spec, char default_align);

}  // namespace rf::jinja
