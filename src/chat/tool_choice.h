// Tool choice: holding a reply to calls of tools, written as the model's dialect writes them.
#pragma once
#include <nlohmann/json.hpp>
#include <string_view>

#include "chat/constraints.h"
#include "chat/dialect.h"
#include "chat/grammar/rules.h"

namespace rf {

// A constraint for Constraints::get: the reply to `prompt` calls one of `tools`, an array in OpenAI's form,
// or with `parallel` several, with arguments that fit the tools' schemas (a schema that is not supported:
// with any object). Reasoning may come first.
ConstraintSource tool_choice(const nlohmann::ordered_json& tools, const Dialect& dialect,
                             std::string_view prompt, bool parallel);

// Its grammar. Throws Error where there are no tools, or the dialect is one that no grammar is written for.
grammar::Rules tool_call_rules(const Dialect& dialect, const ConstraintSource& source);

}  // namespace rf
