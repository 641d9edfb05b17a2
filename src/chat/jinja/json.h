// JSON to template values.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "chat/jinja/heap.h"

namespace rf::jinja {

// Text is not copied: `json` must outlive the heap's user. Throws Error on JSON nested too deeply.
Value from_json(Heap& heap, const nlohmann::ordered_json& json);

}  // namespace rf::jinja
