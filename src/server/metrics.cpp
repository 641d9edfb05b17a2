#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <sstream>

namespace rf {
namespace {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using Bounds = Histogram::BucketBoundaries;

const Bounds seconds_bounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                               0.5,   1,      2.5,   5,    10,    30,   60,  300};

template <class Family>
auto& add(Family& family) {
  return family.Add({});
}

}  // namespace

struct Metrics::State {
  prometheus::Registry registry;
  double read_bandwidth = 0;  // bytes/s

  prometheus::Family<Counter>& counters(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
  }
  prometheus::Family<Gauge>& gauges(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
  }
  prometheus::Family<Histogram>& histograms(const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
  }
  Histogram& seconds(const char* name, const char* help) {
    return histograms(name, help).Add({}, seconds_bounds);
  }

  prometheus::Family<Counter>& requests =
      counters("rocmforge_requests_total", "Requests by route and status.");
  prometheus::Family<Counter>& restarts =
      counters("rocmforge_engine_restarts_total", "Engines that ended and were started again.");
  prometheus::Family<Histogram>& steps =
      histograms("rocmforge_step_seconds", "Time of one step of the engine, by kind.");
  Histogram& request_seconds =
      seconds("rocmforge_request_seconds", "Time from a request to the end of its answer.");
  Histogram& first =
      seconds("rocmforge_time_to_first_token_seconds", "Time from a request to its first token.");
  Histogram& between = seconds("rocmforge_inter_token_seconds", "Time between two tokens of an answer.");
  Histogram& whole = seconds("rocmforge_generation_seconds", "Time from a request to its last token.");
  Counter& prompt_tokens =
      add(counters("rocmforge_prompt_tokens_total", "Tokens of prompts, those found in the cache included."));
  Counter& cached_tokens = add(
      counters("rocmforge_prompt_tokens_cached_total", "Tokens of prompts that were found in the cache."));
  Counter& sent_back =
      add(counters("rocmforge_preemptions_total", "Sequences that had to wait so that others find pages."));
  Counter& read_again = add(counters("rocmforge_tokens_read_again_total",
                                     "Tokens of such sequences that were read a second time."));
  Counter& tokens = add(counters("rocmforge_tokens_total", "Tokens generated."));
  Gauge& bandwidth = add(gauges(
      "rocmforge_memory_bandwidth_percent",
      "Bytes that the last decoding step read, of what the machine was measured to read in its time."));
  Gauge& running = add(gauges("rocmforge_requests_running", "Sequences that the engines run."));
  Gauge& waiting = add(gauges("rocmforge_requests_waiting", "Requests that have not begun."));
  Gauge& pages = add(gauges("rocmforge_cache_pages", "Pages of the key/value caches."));
  Gauge& pages_used = add(gauges("rocmforge_cache_pages_used", "Of them, those held by sequences."));
  Gauge& host_cache =
      add(gauges("rocmforge_host_cache_bytes", "What was copied out of the caches into host memory."));
  Gauge& connections = add(gauges("rocmforge_connections", "Open connections."));
  Gauge& models = add(gauges("rocmforge_models_loaded", "Models in memory."));
};

Metrics::Metrics() : state_(std::make_unique<State>()) {}
Metrics::~Metrics() = default;

void Metrics::answered(const std::string& route, int status, double seconds) {
  state_->requests.Add({{"route", route}, {"status", std::to_string(status)}}).Increment();
  state_->request_seconds.Observe(seconds);
}

void Metrics::step(const std::string& model, const message::Events& events) {
  if (events.rows == 0) return;
  const bool decode = events.decoding == events.rows;
  const char* kind = decode ? "decode" : events.decoding == 0 ? "prefill" : "mixed";
  const double seconds = static_cast<double>(events.ns) * 1e-9;
  state_->steps.Add({{"model", model}, {"kind", kind}}, seconds_bounds).Observe(seconds);
  if (decode && state_->read_bandwidth > 0 && seconds > 0)
    state_->bandwidth.Set(100 * events.bytes / seconds / state_->read_bandwidth);
}

void Metrics::measured(double read_bandwidth) {
  state_->read_bandwidth = read_bandwidth;
}

void Metrics::restarted(const std::string& model) {
  state_->restarts.Add({{"model", model}}).Increment();
}

void Metrics::gave_way(std::uint64_t sequences, std::uint64_t tokens_read_again) {
  state_->sent_back.Increment(static_cast<double>(sequences));
  state_->read_again.Increment(static_cast<double>(tokens_read_again));
}

void Metrics::first_token(double seconds) {
  state_->first.Observe(seconds);
  state_->tokens.Increment();
}

void Metrics::next_token(double seconds) {
  state_->between.Observe(seconds);
  state_->tokens.Increment();
}

void Metrics::finished(int prompt_tokens, int cached_tokens, double seconds) {
  state_->prompt_tokens.Increment(prompt_tokens);
  state_->cached_tokens.Increment(cached_tokens);
  state_->whole.Observe(seconds);
}

std::string Metrics::text(const Gauges& gauges) {
  state_->running.Set(gauges.running);
  state_->waiting.Set(gauges.waiting);
  state_->pages.Set(gauges.pages);
  state_->pages_used.Set(gauges.pages - gauges.pages_free);
  state_->host_cache.Set(gauges.host_cache_bytes);
  state_->connections.Set(gauges.connections);
  state_->models.Set(gauges.models_loaded);
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, state_->registry.Collect());
  return out.str();
}

Metrics::Totals Metrics::totals() const {
  double requests = 0, restarts = 0;
  for (const auto& family : state_->requests.Collect())
    for (const auto& metric : family.metric) requests += metric.counter.value;
  for (const auto& family : state_->restarts.Collect())
    for (const auto& metric : family.metric) restarts += metric.counter.value;
  return {.tokens_in = state_->prompt_tokens.Value(),
          .tokens_out = state_->tokens.Value(),
          .cached = state_->cached_tokens.Value(),
          .requests = requests,
          .restarts = restarts,
          .bandwidth_percent = state_->bandwidth.Value()};
}

}  // namespace rf
