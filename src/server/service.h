// Service: from requests to answers: routes, who may do what, and the generations under way.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/generation.h"
#include "server/keys.h"
#include "server/metrics.h"
#include "server/models.h"
#include "server/prompt_limits.h"
#include "server/running.h"
#include "server/traces.h"

namespace rf {

class Service;

struct Route {
  std::string method, pattern;  // "/status/:id": the last part may be a name of any text
  ErrorStyle errors;
  bool open;  // without a key
  std::function<void(Service&, ExchangePtr)> handle;
};

class Service {
 public:
  Service(Loop& loop, Models& models, Metrics& metrics, Traces& traces, const ServiceOptions& options);

  void handle(ExchangePtr exchange);
  void done(const Exchange& exchange);  // it has ended, for the log and the metrics
  void reload(ServiceOptions options, Keys keys);
  void drain(std::function<void()> drained);  // takes no new work; `drained`: what there was is done
  void cancel_all();

  // For handlers. The body is read and `make` is called beside the loop; what they throw becomes the answer.
  using Make = std::function<Generation(const ModelText&, const PromptLimits&, const Json& body)>;
  void generate(const ExchangePtr& exchange, ErrorStyle errors, Make make);
  using Answer = std::function<HttpResponse(const ModelText&, const Json& body)>;
  void with_text(const ExchangePtr& exchange, ErrorStyle errors, Answer answer);
  // Calls `then` on the loop with the body, the model and its text.
  using WithModel = std::function<void(ServedModel&, std::shared_ptr<const Json> body)>;
  void with_model(const ExchangePtr& exchange, ErrorStyle errors, WithModel then);
  void check_queue(const ServedModel& model) const;  // throws ApiError 429

  Models& models() { return models_; }
  Metrics& metrics() { return metrics_; }
  const Traces& traces() const { return traces_; }
  Loop& loop() { return loop_; }
  const ServiceOptions& options() const { return options_; }
  Metrics::Gauges gauges() const;
  bool draining() const { return draining_; }
  // nullptr where there is none or it is over.
  std::shared_ptr<Running> running(const std::string& id) const;
  std::vector<std::shared_ptr<Running>> all_running() const;
  const Json* past_status(const std::string& id) const;
  std::function<int()> connections;

 private:
  const Route* find_route(const HttpRequest& request, bool& path_known) const;
  bool let_in(Exchange& exchange, const Route& route);
  ApiError model_unknown(const std::string& name) const;
  bool may_truncate(const Json& body) const;
  void prepare(const ExchangePtr& exchange, ErrorStyle errors, const Make& make, ServedModel& model,
               const std::shared_ptr<const Json>& body);
  void begin(const ExchangePtr& exchange, ServedModel& model, Generation generation);
  void ended(const std::string& id);
  std::uint64_t next_rank(const std::string& client);

  Loop& loop_;
  Models& models_;
  Metrics& metrics_;
  Traces& traces_;
  ServiceOptions options_;
  Keys keys_;
  std::vector<Route> routes_;
  struct Live {
    std::shared_ptr<Running> running;
    std::uint64_t rank;
    Loop::Timer limit;
  };
  std::map<std::string, Live> live_;
  std::map<std::string, std::uint64_t> ranks_;      // the last of each client
  std::vector<std::pair<std::string, Json>> past_;  // statuses of those that are over, a ring
  std::size_t next_past_ = 0;
  bool draining_ = false;
  std::function<void()> drained_;
};

// What each API's file adds.
void add_openai_routes(std::vector<Route>& routes);
void add_completion_routes(std::vector<Route>& routes);
void add_embedding_routes(std::vector<Route>& routes);
void add_rerank_routes(std::vector<Route>& routes);
void add_response_routes(std::vector<Route>& routes);
void add_anthropic_routes(std::vector<Route>& routes);
void add_ollama_routes(std::vector<Route>& routes);
void add_own_routes(std::vector<Route>& routes);
void add_operation_routes(std::vector<Route>& routes);

}  // namespace rf
