// The logic of schemas: what is not, what follows, and what cannot hold at the same time.
#pragma once
#include "chat/grammar/schema_branches.h"

namespace rf::grammar {

// A schema of what `schema` does not allow. Throws Error naming the keyword that cannot be turned round.
Json negated(const Schema& schema, const SchemaBranches& branches, int depth = 0);

// `if`, `then`, `else`, `not` and the dependencies of `schema` as schemas that hold besides the rest.
std::vector<Schema> conditions(const Schema& schema, const SchemaBranches& branches);

// Changes two plain schemas so that no text fits both, leaving something out of what they allow where that
// helps; false where that cannot be seen to be so.
bool keep_apart(Json& a, Json& b);

}  // namespace rf::grammar
