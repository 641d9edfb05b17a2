#include "app/serve.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <map>
#include <set>

#include "app/file.h"
#include "app/load.h"
#include "app/model_files.h"
#include "base/error.h"
#include "base/log.h"
#include "base/team.h"
#include "chat/constraints.h"
#include "cpu/cpu.h"
#include "engine/worker.h"
#include "server/model_text.h"
#include "server/server.h"

namespace rf {
namespace {

constexpr int prompt_logprob_rows = 32;  // of a step, where log-probabilities of a prompt are asked for
constexpr double mib = 1024 * 1024;

// The process of an engine: the options of the server as words, and two words more.
int run_engine(const ServeOptions& options) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NAME, "rocmforge");  // which is "exe" otherwise
  ::fcntl(options.worker_socket, F_SETFD, FD_CLOEXEC);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, SIG_IGN);
  WorkerParts parts;
  parts.load = [&](const auto& progress) {
    return load_engine(options.worker_model, options.load,
                       {.parallel = options.server.service.parallel,
                        .wanted_rows = std::max(options.server.service.parallel, prompt_logprob_rows),
                        .cache_tokens = options.cache_tokens,
                        .host_cache_bytes = options.host_cache_mib < 0
                                                ? std::int64_t{-1}
                                                : static_cast<std::int64_t>(options.host_cache_mib * mib),
                        .cache_folder = options.cache_folder,
                        .cache_folder_bytes = static_cast<std::uint64_t>(options.cache_folder_mib * mib),
                        .gap = options.gap,
                        .progress = progress});
  };
  parts.constraints = [](const Engine& engine) {
    const Tokenizer& tokenizer = engine.tokenizer();
    const auto all = std::make_shared<Constraints>(
        tokenizer, dialect_of(template_source(engine.file(), tokenizer), tokenizer));
    return [all](const message::ConstraintText& text) {
      if (text.kind > static_cast<std::uint8_t>(ConstraintSource::Kind::tool_calls))
        fail("there is no kind {}", text.kind);
      return all->get({static_cast<ConstraintSource::Kind>(text.kind), text.texts});
    };
  };
  return run_worker(options.worker_socket, parts);
}

// The process of an engine gets all options as words, so that a file that has changed meanwhile, or is wrong,
// matters no more. The binary is the one that runs, whatever has its name by now.
std::vector<std::string> engine_command(const std::vector<std::string>& words, const std::string& model) {
  std::vector<std::string> command = {"/proc/self/exe", "serve", "--config=/dev/null"};
  std::ranges::copy_if(words, std::back_inserter(command), [](const std::string& word) {
    return !word.starts_with("--api-key=");  // others can read a command line
  });
  for (const std::string& word :
       {"--worker-model=" + model, std::string("--worker-socket"), std::string("{}")})
    command.push_back(word);
  return command;
}

ModelEntry entry_of(const std::string& given) {
  const std::size_t equals = given.find('=');
  const bool named = equals != std::string::npos && equals > 0 && given.find_first_of("/:") > equals;
  const std::string model = named ? given.substr(equals + 1) : given;
  ModelEntry entry{.name = named ? given.substr(0, equals) : model, .path = find_model(model), .command = {}};
  if (!named && (entry.path == model || model.find_first_of("/:") != std::string::npos))
    entry.name = std::filesystem::path(entry.path).stem();
  return entry;
}

// Files are called by their names, those of one name by their paths below the folder.
void add_folder(const std::string& folder, std::vector<ModelEntry>& entries) {
  const std::vector<std::string> files = model_files(folder);
  if (files.empty()) fail("{}: there is no .gguf file in this folder", folder);
  std::map<std::string, int> names;
  const auto name_of = [](const std::filesystem::path& path) { return path.stem().string(); };
  for (const std::string& file : files) ++names[name_of(file)];
  for (const std::string& file : files) {
    std::string name = name_of(file);
    if (names[name] > 1) name = std::filesystem::relative(file, folder).replace_extension().string();
    entries.push_back({.name = std::move(name), .path = file, .command = {}, .required = false});
  }
}

std::vector<ModelEntry> entries_of(const ServeOptions& options) {
  std::vector<ModelEntry> entries;
  for (const std::string& model : options.models) entries.push_back(entry_of(model));
  if (!options.models_folder.empty()) add_folder(options.models_folder, entries);
  if (entries.empty())
    fail("serve: expected a model (--model) or a folder of models (--models-dir), found none");
  for (ModelEntry& entry : entries) entry.command = engine_command(options.words, entry.path);
  return entries;
}

void check_endpoint(const std::string& url) {
  if (!url.empty() && !url.starts_with("http://") && !url.starts_with("https://"))
    fail("--otlp-endpoint: expected a URL of http or https, found '{}'", url);
}

// The folder is made when something is written to it: what is there of its path must let that happen. A
// server does without where it does not.
void check_cache_folder(const std::string& folder) {
  if (folder.empty()) return;
  std::filesystem::path there = std::filesystem::absolute(folder);
  std::error_code error;
  while (!std::filesystem::exists(there, error) && there.has_relative_path()) there = there.parent_path();
  if (!std::filesystem::is_directory(there, error) || ::access(there.c_str(), R_OK | W_OK | X_OK) != 0)
    fail("--cache-dir: {}: no folder that can be written to", folder);
}

ServerSettings settings_of(const ServeOptions& given) {
  ServerSettings settings{.options = given.server, .models = entries_of(given)};
  settings.options.http.limits.body_bytes = static_cast<std::uint64_t>(given.body_mib * mib);
  settings.options.models.memory_bytes = static_cast<std::uint64_t>(given.memory_gib * 1024 * 1024 * 1024);
  return settings;
}

// The options that differ and need a new start, by name.
std::string needing_a_start(const std::vector<std::string>& before, const std::vector<std::string>& after) {
  static const std::set<std::string> changeable = {
      "--model",        "--models-dir",      "--max-body",      "--max-header",   "--max-connections",
      "--idle-timeout", "--receive-timeout", "--queue",         "--max-choices",  "--request-timeout",
      "--api-key",      "--api-key-file",    "--cors-origin",   "--memory-limit", "--keep-alive",
      "--watchdog",     "--drain-timeout",   "--context-shift", "--log-prompts",  "--log-level",
      "--log-format"};
  std::set<std::string> names;
  for (const auto& [some, others] : {std::pair(&before, &after), std::pair(&after, &before)})
    for (const std::string& word : *some)
      if (std::ranges::find(*others, word) == others->end()) names.insert(word.substr(0, word.find('=')));
  std::string list;
  for (const std::string& name : names)
    if (!changeable.contains(name)) list += (list.empty() ? "" : ", ") + name;
  return list;
}

}  // namespace

int serve(const ServeOptions& given) {
  std::signal(SIGPIPE, SIG_IGN);  // whoever reads the log may go
  if (given.worker_socket >= 0) return run_engine(given);
  check_endpoint(given.server.otlp_endpoint);
  const ServerSettings settings = settings_of(given);
  if (given.check_config) {
    check_cache_folder(given.cache_folder);
    check_server(settings.options, settings.models);
    std::puts("the configuration is good");
    return 0;
  }
  const int threads = given.load.threads > 0 ? given.load.threads : default_threads();
  const auto next = std::make_shared<ServeOptions>(given);
  ServerCalls calls;
  calls.read_bandwidth = [threads] { return measure_read_bandwidth(threads); };
  calls.read_again = [next, again = given.again] {
    *next = again();
    return settings_of(*next);
  };
  calls.applied = [next, words = given.words, told = std::string()]() mutable {
    set_up_log(next->log_level, next->log_format);
    const std::string names = needing_a_start(words, next->words);
    if (!names.empty() && names != told)
      spdlog::warn("{}: what changed counts from the next start on", names);
    told = names;
  };
  return run_server(settings, std::move(calls));
}

}  // namespace rf
