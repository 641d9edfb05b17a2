// The command line: options, environment (ROCMFORGE_*) and config file, in this order of precedence.
#pragma once
#include <string>
#include <vector>

namespace rf {

// Runs the command that `arguments` (without the program's name) ask for. Returns the exit code: 0 done, 1
// failed, 2 wrong usage, 130 interrupted; on failure one line on stderr says why.
int run_command_line(std::vector<std::string> arguments);

}  // namespace rf
