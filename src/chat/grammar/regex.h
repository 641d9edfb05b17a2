// Regular expressions, the part of ECMAScript's that is regular: literals and escapes, `.`, classes, groups,
// alternatives, repetitions, and ^ and $ where the text begins or ends.
#pragma once
#include <string_view>

#include "chat/grammar/code_points.h"
#include "chat/grammar/rules.h"

namespace rf::grammar {

// The texts that `pattern` matches: the whole text, or (`anywhere`) a part of it, as JSON Schema has it.
// `write` says how characters are written. Throws Error naming the place for what is not understood.
PartId parse_regex(Rules& rules, std::string_view pattern, const CharacterWriter& write, bool anywhere);

}  // namespace rf::grammar
