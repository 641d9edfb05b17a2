// The options of every command, declared on CLI11's App.
#pragma once
#include <CLI/App.hpp>
#include <functional>
#include <string>
#include <vector>

#include "app/commands.h"

namespace rf {

struct Command {
  CLI::App* app;
  std::function<int()> run;  // once the command line has been parsed
};

void add_load(CLI::App& app, LoadOptions& load);  // the options of all commands that run a model

// Adds all commands to `root`, in the order in which help lists them.
std::vector<Command> declare_commands(CLI::App& root);

}  // namespace rf
