#include "app/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "app/command_options.h"
#include "app/interrupt.h"
#include "base/error.h"
#include "base/log.h"
#include "gguf/parse.h"

namespace rf {
namespace {

// ROCMFORGE_MAX_TOKENS for --max-tokens; "" for options that have no long name.
std::string environment_name(const CLI::Option& option) {
  if (option.get_lnames().empty() || option.get_lnames()[0] == "help" || option.get_lnames()[0] == "version")
    return "";
  std::string name = "ROCMFORGE_" + option.get_lnames()[0];
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return c == '-' ? '_' : static_cast<char>(std::toupper(c)); });
  return name;
}

void name_environment(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) option->envname(environment_name(*option));
}

// The option's value in the environment, or nullptr.
const char* environment_of(const CLI::Option& option) {
  const char* value = std::getenv(environment_name(option).c_str());
  return value != nullptr && *value != 0 ? value : nullptr;
}

// Some versions of CLI11 pass over values that they cannot take from there.
void refuse_untaken(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    const char* value = environment_of(*option);
    if (value != nullptr && option->count() == 0)
      throw CLI::ValidationError(
          environment_name(*option),
          fmt::format("{} is no value of --{}", rf::quoted(value), option->get_lnames()[0]));
  }
}

// A config file's keys are the long names of options. A key at the top holds for every command that has such
// an option, one in a section [COMMAND] for that command only, and wins there.
class ConfigFile : public CLI::ConfigBase {
 public:
  explicit ConfigFile(const CLI::App& root) : root_(root) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& in) const override {
    std::vector<CLI::ConfigItem> special, general;
    for (CLI::ConfigItem& item : CLI::ConfigBase::from_config(in)) {
      if (item.name == "++" || item.name == "--") continue;  // borders of sections
      if (!is_known(item))
        throw CLI::ConfigError(fmt::format("there is no option {}", rf::quoted(item.fullname())));
      if (!item.parents.empty()) {
        if (applies(item.parents[0], item.name)) special.push_back(std::move(item));
      } else if (const CLI::Option* option = root_.get_option_no_throw("--" + item.name)) {
        if (environment_of(*option) == nullptr) general.push_back(std::move(item));
      } else {
        for (const CLI::App* command : root_.get_subcommands())
          if (applies(command->get_name(), item.name)) {
            general.push_back(item);
            general.back().parents = {command->get_name()};
          }
      }
    }
    special.insert(special.end(), general.begin(), general.end());  // the first value stays
    return special;
  }

 private:
  bool is_known(const CLI::ConfigItem& item) const {
    if (item.parents.size() > 1) return false;
    const std::string option = "--" + item.name;
    if (item.parents.empty() && root_.get_option_no_throw(option) != nullptr) return true;
    const auto commands = root_.get_subcommands([](const CLI::App*) { return true; });
    return std::any_of(commands.begin(), commands.end(), [&](const CLI::App* command) {
      return (item.parents.empty() || item.parents[0] == command->get_name()) &&
             command->get_option_no_throw(option) != nullptr;
    });
  }
  // Whether the command being run takes its option `name` from the file.
  bool applies(const std::string& command, const std::string& name) const {
    for (const CLI::App* running : root_.get_subcommands())
      if (running->get_name() == command) {
        const CLI::Option* option = running->get_option_no_throw("--" + name);
        return option != nullptr && environment_of(*option) == nullptr;
      }
    return false;
  }

  const CLI::App& root_;
};

std::string default_config_file() {
  const char* folder = std::getenv("XDG_CONFIG_HOME");
  if (folder != nullptr && *folder == '/') return std::string(folder) + "/rocmforge/config.toml";
  const char* home = std::getenv("HOME");
  return home == nullptr ? "" : std::string(home) + "/.config/rocmforge/config.toml";
}

// What is set by command line, environment or file, as words that set it again.
std::vector<std::string> words_of(std::initializer_list<const CLI::App*> apps) {
  std::vector<std::string> words;
  for (const CLI::App* app : apps)
    for (const CLI::Option* option : app->get_options()) {
      if (environment_name(*option).empty() || option->get_lnames()[0] == "config" || option->count() == 0)
        continue;
      for (const std::string& value : option->results())
        words.push_back(fmt::format("--{}={}", option->get_lnames()[0], value));
    }
  return words;
}

struct CommandLine {
  CLI::App root{"Runs GGUF language models.", "rocmforge"};
  std::string log_level = "warn", log_format = "text";
  ServeOptions serving;
  std::vector<Command> commands;

  explicit CommandLine(const std::vector<std::string>& arguments) {
    declare();
    serving.again = [arguments] { return CommandLine(arguments).parse(arguments).serving; };
  }

  void declare() {
    root.require_subcommand(1);
    root.fallthrough();
    root.set_version_flag("--version", RF_VERSION);
    root.add_option("--log-level", log_level, "trace, debug, info, warn, error or off")
        ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
        ->capture_default_str();
    root.add_option("--log-format", log_format, "text, or json: one object a line")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
    const char* named = std::getenv("ROCMFORGE_CONFIG");
    const bool is_named = named != nullptr && *named != 0;
    root.set_config("--config", is_named ? named : default_config_file(),
                    "File of options: long names as keys", is_named);
    root.config_formatter(std::make_shared<ConfigFile>(root));
    commands = declare_commands(root, serving);
    name_environment(root);
    for (const Command& command : commands) {
      command.app->fallthrough();
      command.app->footer(
          "Also: --log-level, --log-format, --config FILE (rocmforge --help). Every option can be given in "
          "the "
          "environment\nas ROCMFORGE_NAME and as a key of the config file; the command line wins, then the "
          "environment.");
      name_environment(*command.app);
    }
  }

  // Throws CLI::Error.
  CommandLine& parse(std::vector<std::string> arguments) {
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    root.parse(std::move(arguments));
    refuse_untaken(root);
    for (const CLI::App* command : root.get_subcommands()) refuse_untaken(*command);
    serving.log_level = log_level;
    serving.log_format = log_format;
    serving.words = words_of({&root, root.get_subcommand("serve")});
    return *this;
  }

  int run() {
    set_up_log(log_level, log_format);
    for (const Command& command : commands)
      if (command.app->parsed()) return command.run();
    return 2;
  }
};

int failed(const char* what) {
  std::fflush(stdout);
  std::fprintf(stderr, "rocmforge: %s\n", what);
  return 1;
}

// `code`, unless what was printed has not all been written.
int finished(int code) {
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  return written || code != 0 ? code : failed("stdout: not all of the output could be written");
}

}  // namespace

int run_command_line(std::vector<std::string> arguments) {
  CommandLine line(arguments);
  try {
    line.parse(std::move(arguments));
  } catch (const CLI::Success& help) {
    return finished(line.root.exit(help));
  } catch (const CLI::ParseError& error) {
    const std::vector<std::string> unread = line.root.remaining();
    const bool is_command = line.root.get_subcommands().empty() && !unread.empty();
    std::string what = is_command ? "there is no command '" + unread.front() + "'" : error.what();
    if (dynamic_cast<const CLI::ConfigError*>(&error) != nullptr)
      what = line.root.get_config_ptr()->as<std::string>() + ": " + what;
    std::fprintf(stderr, "rocmforge: %s (rocmforge --help and rocmforge COMMAND --help tell more)\n",
                 what.c_str());
    return 2;
  }
  try {
    return finished(line.run());
  } catch (const Interrupted&) {
    return interrupt_code();
  } catch (const std::bad_alloc&) {
    return failed("out of memory");
  } catch (const std::exception& error) {
    return failed(error.what());
  }
}

}  // namespace rf
