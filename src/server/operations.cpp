// What those who run the server ask: is it well, what does it do, and the page for people.
#include <algorithm>

#include "server/service.h"
#include "server/web_page.h"

namespace rf {
namespace {

using State = EngineHost::State;

const char* state_name(State state) {
  switch (state) {
    case State::stopped:
      return "stopped";
    case State::loading:
      return "loading";
    case State::ready:
      return "ready";
    case State::broken:
      return "broken";
  }
  return "";
}

// 503 until the first model has been loaded; an engine that is started again later is no reason to restart
// the server.
void health(Service& service, const ExchangePtr& exchange) {
  const EngineHost& engine = service.models().first().engine;
  if (engine.state() == State::broken) {
    ApiError error(503, engine.trouble(), "", "model_not_loaded");
    return exchange->respond(error_response(ErrorStyle::openai, error));
  }
  const bool loading = engine.state() == State::loading && engine.facts().context == 0;
  if (!loading) return exchange->respond({.body = dump({{"status", "ok"}})});
  ApiError error(503, fmt::format("the model is being loaded, {:.0f}%", engine.loaded_part() * 100), "",
                 "loading");
  error.retry_after = 1;
  exchange->respond(error_response(ErrorStyle::openai, error));
}

void ready(Service& service, const ExchangePtr& exchange) {
  const bool loaded = std::ranges::any_of(service.models().all(), [](const auto& model) {
    return model->engine.state() == State::ready || model->engine.state() == State::stopped;
  });
  const bool yes = loaded && !service.draining();
  exchange->respond(
      {.status = yes ? 200 : 503, .body = dump({{"ready", yes}, {"draining", service.draining()}})});
}

void metrics(Service& service, const ExchangePtr& exchange) {
  exchange->respond({.content_type = "text/plain; version=0.0.4; charset=utf-8",
                     .body = service.metrics().text(service.gauges())});
}

void traces(Service& service, const ExchangePtr& exchange) {
  exchange->respond({.body = dump(service.traces().json())});
}

// For the page's charts.
void statistics(Service& service, const ExchangePtr& exchange) {
  const Metrics::Totals totals = service.metrics().totals();
  const Metrics::Gauges now = service.gauges();
  Json models = Json::array();
  for (const auto& model : service.models().all())
    models.push_back({{"name", model->name},
                      {"state", state_name(model->engine.state())},
                      {"context", model->engine.facts().context},
                      {"process", model->engine.pid()}});
  exchange->respond({.body = dump({{"running", now.running},
                                   {"waiting", now.waiting},
                                   {"pages", now.pages},
                                   {"pages_used", now.pages - now.pages_free},
                                   {"connections", now.connections},
                                   {"requests", totals.requests},
                                   {"tokens_in", totals.tokens_in},
                                   {"tokens_cached", totals.cached},
                                   {"tokens_out", totals.tokens_out},
                                   {"restarts", totals.restarts},
                                   {"bandwidth_percent", totals.bandwidth_percent},
                                   {"models", models}})});
}

void page(Service&, const ExchangePtr& exchange) {
  exchange->respond(
      {.content_type = "text/html; charset=utf-8",
       .body = std::string(web_page()),
       .headers = {
           {"Content-Security-Policy",
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
            "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
           {"X-Content-Type-Options", "nosniff"},
           {"Cache-Control", "no-cache"}}});
}

}  // namespace

void add_operation_routes(std::vector<Route>& routes) {
  constexpr ErrorStyle style = ErrorStyle::openai;
  routes.push_back({"GET", "/health", style, true, health});
  routes.push_back({"GET", "/ready", style, true, ready});
  routes.push_back({"GET", "/metrics", style, false, metrics});
  routes.push_back({"GET", "/traces", style, false, traces});
  routes.push_back({"GET", "/statistics", style, false, statistics});
  routes.push_back({"GET", "/", style, true, page});
}

}  // namespace rf
