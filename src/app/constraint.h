// What the options of the answer ask of its text.
#pragma once
#include <memory>

#include "app/commands.h"
#include "chat/constraints.h"

namespace rf {

// None where any text will do. Throws Error naming the option or the file.
std::shared_ptr<const TokenConstraint> constraint_of(const AnswerOptions& options, Constraints& constraints);

}  // namespace rf
