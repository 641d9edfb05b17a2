// OpenAI's API: chat completions and models (platform.openai.com/docs/api-reference).
#include <algorithm>
#include <cmath>

#include "server/openai_shapes.h"
#include "server/request_fields.h"
#include "server/service.h"

namespace rf {
namespace {

int read_chat_logprobs(const Fields& fields) {
  const auto top = fields.integer("top_logprobs", 0, 20);
  if (!fields.boolean("logprobs").value_or(false)) {
    if (top && *top > 0) fail_field("top_logprobs", "expected logprobs: true beside it");
    return -1;
  }
  return static_cast<int>(top.value_or(0));
}

Generation chat_completion(const ModelText& text, const PromptLimits& limits, const Json& body) {
  const Fields fields(body);
  Generation generation;
  read_max_tokens(fields, "max_tokens", generation.request);
  read_max_tokens(fields, "max_completion_tokens", generation.request);
  read_chat(text, fields, read_messages(fields, "messages"), read_tools(fields), limits, generation);
  read_sampling(fields, generation.request);
  read_stop(fields, "stop", generation.request);
  read_constraint(fields, generation);
  read_delivery(fields, generation, false);
  generation.request.logprobs = read_chat_logprobs(fields);
  generation.shape = make_chat_shape(usage_wanted(fields));
  return generation;
}

Json model_card(const ServedModel& model) {
  const EngineHost& engine = model.engine;
  const bool ready = engine.state() == EngineHost::State::ready;
  return {{"id", model.name},
          {"object", "model"},
          {"created", model.created},
          {"owned_by", "rocmforge"},
          {"context_length", ready ? Json(engine.facts().context) : Json()},
          {"loaded", ready}};
}

void list_models(Service& service, const ExchangePtr& exchange) {
  Json list = Json::array();
  for (const auto& model : service.models().all()) list.push_back(model_card(*model));
  exchange->respond({.body = dump({{"object", "list"}, {"data", list}})});
}

void show_model(Service& service, const ExchangePtr& exchange) {
  const std::string name = exchange->request.path.substr(std::string_view("/v1/models/").size());
  const ServedModel* model = service.models().find(name);
  if (model == nullptr)
    throw ApiError(404, fmt::format("model: '{}' is not served here", name.substr(0, 128)), "model",
                   "model_not_found");
  exchange->respond({.body = dump(model_card(*model))});
}

}  // namespace

void add_openai_routes(std::vector<Route>& routes) {
  constexpr ErrorStyle style = ErrorStyle::openai;
  routes.push_back({"POST", "/v1/chat/completions", style, false,
                    [](Service& s, const ExchangePtr& e) { s.generate(e, style, chat_completion); }});
  routes.push_back({"GET", "/v1/models", style, false, list_models});
  routes.push_back({"GET", "/v1/models/:id", style, false, show_model});
}

}  // namespace rf
