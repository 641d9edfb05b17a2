#include "server/server.h"

#include <sys/resource.h>

#include <csignal>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "server/http.h"
#include "server/loop.h"
#include "server/service.h"

namespace rf {
namespace {

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string address_of(const HttpOptions& http, int port) {
  if (!http.socket.empty()) return "unix:" + http.socket;
  const bool v6 = http.host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", http.certificate.empty() ? "http" : "https", v6 ? "[" : "", http.host,
                     v6 ? "]" : "", port);
}

class Server {
 public:
  Server(const ServerSettings& settings, ServerCalls calls)
      : options_(settings.options),
        calls_(std::move(calls)),
        traces_(loop_, options_.otlp_endpoint),
        models_(loop_, metrics_, settings.models, options_.models),
        service_(loop_, models_, metrics_, traces_, options_.service),
        http_(loop_, options_.http,
              {.handle = [this](ExchangePtr exchange) { service_.handle(std::move(exchange)); },
               .refused =
                   [](int status, std::string_view what) {
                     return error_response(ErrorStyle::openai, ApiError(status, std::string(what)));
                   },
               .done = [this](const Exchange& exchange) { service_.done(exchange); }}) {
    service_.connections = [this] { return http_.connections(); };
  }

  int run();

 private:
  void load_first();
  void cannot_load(ServedModel& model, const std::string& why);
  void end();
  void reload();
  void apply(const ServerSettings& settings);

  ServerOptions options_;
  const ServerCalls calls_;
  Loop loop_;
  Metrics metrics_;
  Traces traces_;
  Models models_;
  Service service_;
  HttpServer http_;
  Loop::Timer limit_;
  bool measured_ = false;  // what the machine reads
  bool ending_ = false;
  bool reloading_ = false, reload_again_ = false;
  std::string trouble_;
};

int Server::run() {
  loop_.on_signal(SIGTERM, [this] { end(); });
  loop_.on_signal(SIGINT, [this] { end(); });
  loop_.on_signal(SIGHUP, [this] { reload(); });
  std::printf("listening on %s\n", address_of(options_.http, http_.port()).c_str());
  std::fflush(stdout);
  load_first();
  loop_.run();
  if (!trouble_.empty()) fail("{}", trouble_);
  return 0;
}

void Server::load_first() {
  ServedModel& first = models_.first();
  first.engine.on_state = [this, &first] {
    if (first.engine.state() == EngineHost::State::broken && first.engine.facts().context == 0)
      cannot_load(first, first.engine.trouble());
    if (first.engine.state() != EngineHost::State::ready || std::exchange(measured_, true)) return;
    const auto bandwidth = std::make_shared<double>(0);
    loop_.background([=, this] { *bandwidth = calls_.read_bandwidth(); },
                     [=, this] { metrics_.measured(*bandwidth); });
  };
  models_.use(first, [this, &first](const ApiError* error) {
    if (error != nullptr) cannot_load(first, error->what());
  });
}

// The file and the engine may both say so, and the engine again at a later request.
void Server::cannot_load(ServedModel& model, const std::string& why) {
  if (&model != &models_.first()) return;
  if (!model.required && models_.pass_over_first()) {
    spdlog::error("{}: cannot be served, {} is loaded instead: {}", model.name, models_.first().name, why);
    return loop_.post([this] { load_first(); });
  }
  trouble_ = why;
  loop_.stop();
}

// Told once: what is under way may end, within a time; told again: at once.
void Server::end() {
  if (std::exchange(ending_, true)) return loop_.stop();
  spdlog::info("ends once the requests under way are done, in {} s at the latest", options_.drain_seconds);
  http_.drain();
  service_.drain([this] {  // a moment for the last answers to leave
    limit_ = loop_.after(std::chrono::milliseconds(200), [this] { loop_.stop(); });
  });
  if (limit_ == nullptr)
    limit_ = loop_.after(std::chrono::seconds(options_.drain_seconds), [this] {
      service_.cancel_all();
      limit_ = loop_.after(std::chrono::seconds(2), [this] { loop_.stop(); });
    });
}

// One after the other, and once more where a signal came meanwhile.
void Server::reload() {
  if (std::exchange(reloading_, true)) {
    reload_again_ = true;
    return;
  }
  struct Read {
    ServerSettings settings;
    std::optional<ApiError> error;
  };
  const auto read = std::make_shared<Read>();
  const auto work = [this, read] { read->error = fault_of([&] { read->settings = calls_.read_again(); }); };
  loop_.background(work, [this, read] {
    const auto error = read->error ? read->error : fault_of([&] { apply(read->settings); });
    if (error) spdlog::error("nothing is reloaded: {}", error->what());
    reloading_ = false;
    if (std::exchange(reload_again_, false)) reload();
  });
}

// What may fail comes first.
void Server::apply(const ServerSettings& settings) {
  const ServerOptions& next = settings.options;
  Keys keys(next.service.api_keys, next.service.key_file);
  Models::check(settings.models);
  http_.reload_certificate();
  models_.reload(settings.models, next.models);
  service_.reload(next.service, std::move(keys));
  http_.set_limits(next.http.limits);
  options_.drain_seconds = next.drain_seconds;
  calls_.applied();
  spdlog::info("keys, certificate and settings were read again");
}

}  // namespace

int run_server(const ServerSettings& settings, ServerCalls calls) {
  raise_descriptor_limit();
  return Server(settings, std::move(calls)).run();
}

void check_server(const ServerOptions& options, const std::vector<ModelEntry>& models) {
  const Keys keys(options.service.api_keys, options.service.key_file);
  check_certificate(options.http);
  Models::check(models);
  for (const ModelEntry& model : models) const ModelText text(model.path);
}

}  // namespace rf
