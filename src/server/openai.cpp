// OpenAI's API: chat and text completions, and models (platform.openai.com/docs/api-reference).
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

bool usage_wanted(const Fields& fields) {
  const Json* options = fields.object("stream_options");
  return options != nullptr && Fields(*options, "stream_options").boolean("include_usage").value_or(false);
}

Generation chat(const ModelText& text, const ServedModel&, const Json& body) {
  const Fields fields(body);
  Generation generation;
  read_chat(text, fields, read_messages(fields, "messages"), read_tools(fields), generation);
  read_sampling(fields, generation.request);
  read_stop(fields, "stop", generation.request);
  read_max_tokens(fields, "max_tokens", generation.request);
  read_max_tokens(fields, "max_completion_tokens", generation.request);
  read_constraint(fields, generation);
  read_delivery(fields, generation, false);
  generation.request.logprobs = read_chat_logprobs(fields);
  generation.shape = make_chat_shape(usage_wanted(fields));
  return generation;
}

// A prompt is a text, ids, or a list of either.
std::vector<std::vector<std::int32_t>> read_prompts(const ModelText& text, const Fields& fields) {
  constexpr std::size_t most_prompts = 64;
  const auto ids = [&](const Json& list) { return read_tokens(text, "prompt", list); };
  const Json* prompt = fields.find("prompt");
  if (prompt == nullptr) fail_field("prompt", "expected a string or an array, found nothing");
  if (prompt->is_string()) return {text.tokenizer().encode(prompt->get_ref<const std::string&>())};
  if (!prompt->is_array() || prompt->empty())
    fail_field("prompt", "expected a string or an array that is not empty, found {}", found_text(*prompt));
  if (prompt->front().is_number()) return {ids(*prompt)};
  if (prompt->size() > most_prompts)
    fail_field("prompt", "expected at most {} prompts, found {}", most_prompts, prompt->size());
  std::vector<std::vector<std::int32_t>> all;
  for (const Json& each : *prompt) {
    if (each.is_string())
      all.push_back(text.tokenizer().encode(each.get_ref<const std::string&>()));
    else if (each.is_array())
      all.push_back(ids(each));
    else
      fail_field("prompt", "expected strings or arrays of token ids, found {}", found_text(each));
  }
  return all;
}

Generation completion(const ModelText& text, const ServedModel&, const Json& body) {
  const Fields fields(body);
  Generation generation;
  generation.prompts = read_prompts(text, fields);
  if (const auto suffix = fields.text("suffix"); suffix && !suffix->empty()) {
    if (generation.prompts.size() != 1 || !fields.find("prompt")->is_string())
      fail_field("suffix", "expected one prompt that is a text beside it");
    generation.prompts = {fill_in_prompt(text, *fields.text("prompt"), *suffix)};
  }
  generation.request.max_tokens = 16;  // as OpenAI's
  read_sampling(fields, generation.request);
  read_stop(fields, "stop", generation.request);
  read_max_tokens(fields, "max_tokens", generation.request);
  read_constraint(fields, generation);
  read_delivery(fields, generation, false);
  if (const auto top = fields.integer("logprobs", 0, 20))
    generation.request.logprobs = static_cast<int>(*top);
  std::vector<std::string> echoes;
  if (fields.boolean("echo").value_or(false)) {
    if (generation.request.logprobs >= 0)
      fail_field("echo", "log-probabilities of prompts are not supported");
    for (const auto& prompt : generation.prompts) echoes.push_back(text.tokenizer().decode(prompt, false));
  }
  generation.shape = make_completion_shape(usage_wanted(fields), std::move(echoes));
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
                    [](Service& s, const ExchangePtr& e) { s.generate(e, style, chat); }});
  routes.push_back({"POST", "/v1/completions", style, false,
                    [](Service& s, const ExchangePtr& e) { s.generate(e, style, completion); }});
  routes.push_back({"GET", "/v1/models", style, false, list_models});
  routes.push_back({"GET", "/v1/models/:id", style, false, show_model});
}

}  // namespace rf
