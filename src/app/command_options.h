// The options of every command, declared on CLI11's App.
#pragma once
#include <CLI/App.hpp>
#include <functional>
#include <string>
#include <vector>

namespace rf {

struct Command {
  CLI::App* app;
  std::function<int()> run;  // once the command line has been parsed
};

// Adds all commands to `root`, in the order in which help lists them.
std::vector<Command> declare_commands(CLI::App& root);

}  // namespace rf
