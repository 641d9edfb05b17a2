// GBNF, the grammar notation of llama.cpp (its grammars/README.md): rules `name ::= ...` of "literals",
// [classes],
// `.`, groups, names, and the operators | ? * + {m} {m,} {m,n}; comments begin with #. The text is a `root`.
#pragma once
#include <string_view>

#include "chat/grammar/rules.h"

namespace rf::grammar {

// Throws Error naming the line, what was expected and what was found.
Rules parse_gbnf(std::string_view text);

}  // namespace rf::grammar
