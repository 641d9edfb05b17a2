// The parser: Jinja source to a Tree.
#pragma once
#include <memory>
#include <string>

#include "chat/jinja/ast.h"

namespace rf::jinja {

// Throws Error naming the line.
std::unique_ptr<const Tree> parse(std::string_view source);

}  // namespace rf::jinja
