#include "server/service.h"

#include <openssl/rand.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/log.h"

namespace rf {
namespace {

constexpr std::size_t most_past = 1024;

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&seed), sizeof seed);
  return seed;
}

bool matches(std::string_view pattern, std::string_view path) {
  const std::size_t colon = pattern.find(':');
  if (colon == std::string_view::npos) return pattern == path;
  return path.starts_with(pattern.substr(0, colon)) && path.size() > colon &&
         path.find('/', colon) == std::string_view::npos;
}

// "Bearer KEY", or what Anthropic's clients send.
std::string_view key_of(const HttpRequest& request) {
  const std::string_view authorization = request.header("authorization");
  if (authorization.size() > 7 &&
      (authorization.starts_with("Bearer ") || authorization.starts_with("bearer ")))
    return authorization.substr(7);
  return request.header("x-api-key");
}

// A page of another origin, which the user visits in a browser, is no user of this server.
bool is_foreign(const HttpRequest& request, const std::vector<std::string>& allowed) {
  const std::string_view origin = request.header("origin");
  if (origin.empty()) return false;
  const std::size_t host = origin.find("://");
  if (host != std::string_view::npos && origin.substr(host + 3) == request.header("host")) return false;
  return std::ranges::none_of(allowed,
                              [&](const std::string& each) { return each == "*" || each == origin; });
}

}  // namespace

Service::Service(Loop& loop, Models& models, Metrics& metrics, Traces& traces, const ServiceOptions& options)
    : loop_(loop),
      models_(models),
      metrics_(metrics),
      traces_(traces),
      options_(options),
      keys_(options.api_keys, options.key_file) {
  add_operation_routes(routes_);
  add_openai_routes(routes_);
  add_completion_routes(routes_);
  add_embedding_routes(routes_);
  add_rerank_routes(routes_);
  add_response_routes(routes_);
  add_anthropic_routes(routes_);
  add_ollama_routes(routes_);
  add_own_routes(routes_);
}

const Route* Service::find_route(const HttpRequest& request, bool& path_known) const {
  const std::string_view method = request.method == "HEAD" ? "GET" : std::string_view(request.method);
  path_known = false;
  for (const Route& route : routes_) {
    if (!matches(route.pattern, request.path)) continue;
    path_known = true;
    if (route.method == method) return &route;
  }
  return nullptr;
}

bool Service::let_in(Exchange& exchange, const Route& route) {
  const HttpRequest& request = exchange.request;
  const auto refuse = [&](int status, const char* what, const char* code) {
    exchange.respond(error_response(route.errors, ApiError(status, what, "", code)));
    return false;
  };
  if (is_foreign(request, options_.cors_origins))
    return refuse(403, "requests from pages of this origin are not allowed (--cors-origin)",
                  "origin_not_allowed");
  if (!keys_.any()) return true;
  const Client* client = keys_.find(key_of(request));
  if (client == nullptr) {
    if (route.open) return true;
    return refuse(401, "expected a valid API key: Authorization: Bearer KEY", "invalid_api_key");
  }
  exchange.client = client->name;
  exchange.priority = client->priority;
  return true;
}

void Service::handle(ExchangePtr exchange) {
  const HttpRequest& request = exchange->request;
  const std::string_view origin = request.header("origin");
  if (!origin.empty() && !is_foreign(request, options_.cors_origins)) {
    exchange->extra_headers = {{"Access-Control-Allow-Origin", std::string(origin)}, {"Vary", "Origin"}};
    if (request.method == "OPTIONS") {
      exchange->route = "preflight";
      return exchange->respond({.status = 204,
                                .body = {},
                                .headers = {{"Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS"},
                                            {"Access-Control-Allow-Headers",
                                             "Authorization, Content-Type, X-Api-Key, X-Request-Id"},
                                            {"Access-Control-Max-Age", "600"}}});
    }
  }
  bool known = false;
  const Route* route = find_route(request, known);
  if (route == nullptr) {
    exchange->route = "unknown";
    const ApiError error(known ? 405 : 404,
                         fmt::format("there is no {} {} here; docs/api.md lists what there is",
                                     request.method.substr(0, 16), request.path.substr(0, 128)));
    return exchange->respond(error_response(ErrorStyle::openai, error));
  }
  exchange->route = route->pattern;
  if (!let_in(*exchange, *route)) return;
  if (options_.log_prompts && !request.body.empty())
    spdlog::info("{} {} {}: {}", exchange->id, request.method, request.path, request.body);
  try {
    route->handle(*this, exchange);
  } catch (const ApiError& error) {
    exchange->respond(error_response(route->errors, error));
  } catch (const std::exception& error) {
    exchange->respond(error_response(route->errors, ApiError(500, error.what())));
  }
}

void Service::done(const Exchange& exchange) {
  const double seconds = static_cast<double>(now_ns() - exchange.started_ns) * 1e-9;
  const int status = exchange.begun() ? exchange.status() : 499;  // the client closed before it got one
  metrics_.answered(exchange.route, status, seconds);
  spdlog::info("{} {} {} {} {:.1f} ms{}{}{}", exchange.id, exchange.request.method, exchange.route, status,
               seconds * 1e3, exchange.client.empty() ? "" : " ", exchange.client,
               exchange.gone() && status == 499 ? " closed" : "");
}

ApiError Service::model_unknown(const std::string& name) const {
  std::string names;
  for (const auto& each : models_.all()) names += (names.empty() ? "" : ", ") + each->name;
  return {404, fmt::format("model: '{}' is not served here, expected one of: {}", name, names), "model",
          "model_not_found"};
}

void Service::with_model(const ExchangePtr& exchange, ErrorStyle errors, WithModel then) {
  if (draining_) throw ApiError(503, "the server is shutting down", "", "shutting_down");
  struct Parsed {
    std::shared_ptr<Json> body;
    std::optional<ApiError> error;
  };
  const auto parsed = std::make_shared<Parsed>();
  const auto parse = [parsed, exchange] {
    parsed->error =
        fault_of([&] { parsed->body = std::make_shared<Json>(parse_body(exchange->request.body)); });
  };
  loop_.background(parse, [this, parsed, exchange, errors, then = std::move(then)] {
    if (exchange->gone()) return;
    const auto guarded = [&](const auto& work) {
      try {
        work();
      } catch (const ApiError& error) {
        exchange->respond(error_response(errors, error));
      }
    };
    guarded([&] {
      if (parsed->error) throw *parsed->error;
      const std::string name = Fields(*parsed->body).text("model", 256).value_or("");
      ServedModel* model = models_.find(name);
      if (model == nullptr) throw model_unknown(name);
      models_.use(*model, [exchange, errors, then, model, body = parsed->body](const ApiError* error) {
        if (exchange->gone()) return;
        if (error != nullptr) return exchange->respond(error_response(errors, *error));
        try {
          then(*model, body);
        } catch (const ApiError& wrong) {
          exchange->respond(error_response(errors, wrong));
        }
      });
    });
  });
}

void Service::with_text(const ExchangePtr& exchange, ErrorStyle errors, Answer answer) {
  with_model(exchange, errors,
             [this, exchange, errors, answer](ServedModel& model, std::shared_ptr<const Json> body) {
               const auto response = std::make_shared<HttpResponse>();
               const auto work = [response, answer, errors, body, text = model.text] {
                 const auto error = fault_of([&] { *response = answer(*text, *body); });
                 if (error) *response = error_response(errors, *error);
               };
               loop_.background(work, [exchange, response] { exchange->respond(std::move(*response)); });
             });
}

void Service::check_queue(const ServedModel& model) const {
  if (model.engine.jobs() < options_.parallel + options_.queue) return;
  ApiError error(429, fmt::format("{} requests are waiting already, try again later", options_.queue), "",
                 "queue_full");
  error.retry_after = std::clamp(model.engine.jobs() / std::max(1, options_.parallel), 1, 60);
  throw error;
}

// Whether the prompt may have to be made shorter, for which the model's context must be known.
bool Service::may_truncate(const Json& body) const {
  return asks_to_truncate(Fields(body), options_.context_shift);
}

void Service::generate(const ExchangePtr& exchange, ErrorStyle errors, Make make) {
  with_model(exchange, errors,
             [this, exchange, errors, make](ServedModel& model, std::shared_ptr<const Json> body) {
               check_queue(model);
               const auto then = [=, this, &model] { prepare(exchange, errors, make, model, body); };
               if (!may_truncate(*body)) return then();
               model.engine.when_known(then);
             });
}

void Service::prepare(const ExchangePtr& exchange, ErrorStyle errors, const Make& make, ServedModel& model,
                      const std::shared_ptr<const Json>& body) {
  struct Made {
    Generation generation;
    std::optional<ApiError> error;
  };
  const auto made = std::make_shared<Made>();
  const PromptLimits limits{.context = model.engine.facts().context, .shift = options_.context_shift};
  const auto work = [made, make, body, limits, text = model.text] {
    made->error = fault_of([&] { made->generation = make(*text, limits, *body); });
  };
  loop_.background(work, [this, made, exchange, errors, &model] {
    if (exchange->gone()) return;
    try {
      if (made->error) throw *made->error;
      check_queue(model);
      begin(exchange, model, std::move(made->generation));
    } catch (const ApiError& error) {
      exchange->respond(error_response(errors, error));
    }
  });
}

// Clients take turns: a client's second waiting request comes after everybody's first.
std::uint64_t Service::next_rank(const std::string& client) {
  if (live_.empty()) ranks_.clear();
  std::uint64_t floor = 0;
  if (!live_.empty())
    floor =
        std::ranges::min_element(live_, {}, [](const auto& each) { return each.second.rank; })->second.rank;
  std::uint64_t& last = ranks_[client];
  last = std::max(last + 1, floor);
  return last;
}

void Service::begin(const ExchangePtr& exchange, ServedModel& model, Generation generation) {
  if (generation.choices > options_.most_choices)
    fail_field("n", "expected at most {}, found {}", options_.most_choices, generation.choices);
  if (model.text == nullptr) throw model_unknown(model.name);  // it was taken off the list meanwhile
  std::string id = exchange->id;
  for (int i = 2; live_.contains(id); ++i) id = fmt::format("{}.{}", exchange->id, i);
  exchange->id = id;
  if (generation.cut_tokens > 0)
    exchange->extra_headers.emplace_back("X-Truncated-Tokens", std::to_string(generation.cut_tokens));
  generation.request.priority = exchange->priority;
  generation.request.rank = next_rank(exchange->client);
  if (!generation.request.sampling.seed) generation.request.sampling.seed = random_seed();
  const std::uint64_t rank = generation.request.rank;
  const auto running = std::make_shared<Running>(exchange, model, std::move(generation), metrics_, traces_);
  running->on_over = [this, id] { ended(id); };
  live_[id] = {running, rank,
               loop_.after(std::chrono::seconds(options_.request_seconds), [running] { running->cancel(); })};
  running->start();
}

void Service::ended(const std::string& id) {
  const auto at = live_.find(id);
  std::pair<std::string, Json> entry(id, at->second.running->status());
  live_.erase(at);
  if (past_.size() < most_past)
    past_.push_back(std::move(entry));
  else
    past_[next_past_++ % most_past] = std::move(entry);
  if (live_.empty() && drained_) std::exchange(drained_, nullptr)();
}

std::shared_ptr<Running> Service::running(const std::string& id) const {
  const auto at = live_.find(id);
  return at == live_.end() ? nullptr : at->second.running;
}

const Json* Service::past_status(const std::string& id) const {
  const auto at = std::ranges::find_if(past_, [&](const auto& each) { return each.first == id; });
  return at == past_.end() ? nullptr : &at->second;
}

Metrics::Gauges Service::gauges() const {
  Metrics::Gauges gauges;
  for (const auto& model : models_.all()) {
    const EngineLoad& load = model->engine.load();
    gauges.running += load.running;
    gauges.waiting += model->engine.waiting();
    gauges.pages += load.pages;
    gauges.pages_free += load.pages_free;
    gauges.host_cache_bytes += static_cast<double>(load.host_bytes);
    if (model->engine.state() == EngineHost::State::ready) ++gauges.models_loaded;
  }
  gauges.connections = connections ? connections() : 0;
  return gauges;
}

// The engines run so many sequences as they were started with.
void Service::reload(ServiceOptions options, Keys keys) {
  options.parallel = options_.parallel;
  options_ = std::move(options);
  keys_ = std::move(keys);
}

void Service::drain(std::function<void()> drained) {
  draining_ = true;
  drained_ = std::move(drained);
  if (live_.empty()) std::exchange(drained_, nullptr)();
}

std::vector<std::shared_ptr<Running>> Service::all_running() const {
  std::vector<std::shared_ptr<Running>> all;
  for (const auto& [id, live] : live_) all.push_back(live.running);
  return all;
}

void Service::cancel_all() {
  for (const auto& running : all_running()) running->cancel();
}

}  // namespace rf
