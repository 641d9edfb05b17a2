// What the options of the answer ask of its text.
#pragma once
#include <memory>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "chat/constraints.h"

namespace rf {

// The tools that the options offer; null where there are none. Throws Error naming the file.
nlohmann::ordered_json read_tools(const AnswerOptions& options);
// Whether reasoning is to be printed.
bool shows_reasoning(const AnswerOptions& options);

// Whether they hold the answer to a form.
bool asks_for_form(const AnswerOptions& options);
// None where any text will do. Throws Error naming the option or the file.
std::shared_ptr<const TokenConstraint> constraint_of(const AnswerOptions& options, Constraints& constraints);

}  // namespace rf
