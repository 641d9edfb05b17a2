#include "app/serve.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iterator>

#include "app/file.h"
#include "app/load.h"
#include "app/model_files.h"
#include "base/error.h"
#include "base/team.h"
#include "chat/constraints.h"
#include "cpu/cpu.h"
#include "engine/worker.h"
#include "server/server.h"

namespace rf {
namespace {

constexpr int prompt_logprob_rows = 32;  // of a step, where log-probabilities of a prompt are asked for

// The process of an engine: the same command line as the server's, and two words more.
int run_engine(const ServeOptions& options) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::fcntl(options.worker_socket, F_SETFD, FD_CLOEXEC);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, SIG_IGN);
  WorkerParts parts;
  parts.load = [&](const auto& progress) {
    return load_engine(options.worker_model, options.load,
                       {.parallel = options.server.service.parallel,
                        .wanted_rows = std::max(options.server.service.parallel, prompt_logprob_rows),
                        .cache_tokens = options.cache_tokens,
                        .gap = options.gap,
                        .progress = progress});
  };
  parts.constraints = [](const Engine& engine) {
    const auto all = std::make_shared<Constraints>(engine.tokenizer());
    return [all](const message::ConstraintText& text) {
      if (text.kind > static_cast<std::uint8_t>(ConstraintSource::Kind::tool_calls))
        fail("constraint: there is no kind {}", text.kind);
      return all->get({static_cast<ConstraintSource::Kind>(text.kind), text.texts});
    };
  };
  return run_worker(options.worker_socket, parts);
}

// The words of this process's command line.
std::vector<std::string> own_command() {
  const std::string text = read_file("/proc/self/cmdline");
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\0', begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  words.at(0) = std::filesystem::read_symlink("/proc/self/exe");
  return words;
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

std::vector<ModelEntry> entries_of(const ServeOptions& options) {
  std::vector<ModelEntry> entries;
  for (const std::string& model : options.models) entries.push_back(entry_of(model));
  if (!options.models_folder.empty())
    for (const std::string& path : model_files(options.models_folder)) entries.push_back(entry_of(path));
  if (entries.empty())
    fail("serve: expected a model (--model) or a folder of models (--models-dir), found none");
  for (ModelEntry& entry : entries) {
    entry.command = own_command();
    for (const std::string& word :
         {std::string("--worker-model"), entry.path, std::string("--worker-socket"), std::string("{}")})
      entry.command.push_back(word);
  }
  return entries;
}

}  // namespace

int serve(const ServeOptions& given) {
  if (given.worker_socket >= 0) return run_engine(given);
  ServerOptions server = given.server;
  server.http.limits.body_bytes = static_cast<std::uint64_t>(given.body_mib * 1024 * 1024);
  server.models.memory_bytes = static_cast<std::uint64_t>(given.memory_gib * 1024 * 1024 * 1024);
  const std::vector<ModelEntry> entries = entries_of(given);
  if (given.check_config) {
    check_server(server, entries);
    std::puts("the configuration is good");
    return 0;
  }
  const int threads = given.load.threads > 0 ? given.load.threads : default_threads();
  return run_server(server, entries, [threads] { return measure_read_bandwidth(threads); });
}

}  // namespace rf
