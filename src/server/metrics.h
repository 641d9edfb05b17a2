// Metrics: what the server counts, in Prometheus' text format.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "engine/message.h"

namespace rf {

class Metrics {
 public:
  Metrics();
  ~Metrics();

  void answered(const std::string& route, int status, double seconds);
  void step(const std::string& model, const message::Events& events);
  void measured(double read_bandwidth);  // what this machine reads, bytes/s
  void restarted(const std::string& model);
  void gave_way(std::uint64_t sequences, std::uint64_t tokens_read_again);
  void first_token(double seconds);
  void next_token(double seconds);
  void finished(int prompt_tokens, int cached_tokens, double seconds);
  // Of all models together, set when they are asked for.
  struct Gauges {
    int running = 0, waiting = 0, pages = 0, pages_free = 0, connections = 0, models_loaded = 0;
    double host_cache_bytes = 0;
  };
  std::string text(const Gauges& gauges);
  // The same figures that the web page draws, as members of a JSON object.
  struct Totals {
    double tokens_in = 0, tokens_out = 0, cached = 0, requests = 0, restarts = 0, bandwidth_percent = 0;
  };
  Totals totals() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rf
