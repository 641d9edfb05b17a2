// Traces: the spans of requests that have ended, as OTLP JSON (opentelemetry-proto 1.x), kept for a while and
// sent to a collector where one is named.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "server/fields.h"
#include "server/loop.h"

namespace rf {

// Times are of the monotonic clock; 0: it did not come to that.
struct RequestTrace {
  std::string id, parent;  // `parent`: a W3C traceparent header, or ""
  std::string route, model;
  std::int64_t started_ns = 0, first_ns = 0, ended_ns = 0;
  int prompt_tokens = 0, cached_tokens = 0, tokens = 0;
};

class Traces {
 public:
  // `endpoint`: an OTLP/HTTP collector's URL ("/v1/traces" is added where it has no path), or "".
  Traces(Loop& loop, std::string endpoint);

  void add(const RequestTrace& trace);
  Json json() const;  // of the spans kept, one ExportTraceServiceRequest

 private:
  void send();

  Loop& loop_;
  const std::string endpoint_;
  std::deque<Json> kept_;
  std::vector<Json> unsent_;
  Loop::Timer ticker_;
  bool sending_ = false;
};

}  // namespace rf
