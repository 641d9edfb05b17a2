// JSON Schema (draft 2020-12) to rules: the JSON texts that a schema allows, in a bounded layout.
// docs/structured-output.md says which keywords are understood, and what is left out of what they allow.
#pragma once
#include <string_view>

#include "chat/grammar/json_text.h"
#include "chat/grammar/rules.h"

namespace rf::grammar {

// `text`: the schema, JSON. Throws Error naming the place in the schema (a JSON pointer) and the keyword that
// is wrong, contradicts others or is not supported.
Rules parse_json_schema(std::string_view text);
// The same as a part of a larger grammar, in the notation of a dialect of tool calls. `keywords`: the schema,
// of an object, as the arguments of a call in Python.
PartId add_json_schema(Rules& rules, std::string_view text, Notation notation);

}  // namespace rf::grammar
