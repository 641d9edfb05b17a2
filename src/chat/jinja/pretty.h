// Values as Python's pprint writes them: over several lines where one has no room, keys in order.
#pragma once
#include <string>

#include "chat/jinja/heap.h"

namespace rf::jinja {

std::string to_pretty(Heap& heap, const Value& v);  // throws Error as to_repr does

}  // namespace rf::jinja
