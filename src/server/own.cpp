// ROCmForge's own routes: generation in plain terms, requests by id, and what the tokenizer and the template
// make of a text.
#include <algorithm>

#include "server/openai_shapes.h"
#include "server/request_fields.h"
#include "server/service.h"

namespace rf {
namespace {

// One JSON object, or events of one piece each.
class PlainShape : public Shape {
 public:
  Json whole(const Answer& answer) override {
    const Choice& choice = answer.choices.front();
    Json body = {{"id", answer.id},
                 {"model", answer.model},
                 {"text", choice.text},
                 {"ids", choice.tokens},
                 {"finish", finish_name(choice.finish)},
                 {"usage", usage_of(answer)},
                 {"timings", timings_of(answer)}};
    if (!choice.pieces.empty()) {
      Json entries = Json::array();
      for (const Piece& piece : choice.pieces) entries.push_back(logprob_entry(answer, piece));
      body["logprobs"] = std::move(entries);
    }
    return body;
  }
  std::string progress(const Answer& answer, const Choice& choice) override {
    return event_line(
        {{"id", answer.id}, {"prompt_done", choice.prompt_done}, {"prompt_tokens", choice.prompt_tokens}});
  }
  std::string piece(const Answer& answer, const Choice&, const Piece& piece) override {
    Json body = {{"id", answer.id}, {"text", piece.text}, {"token", piece.token}};
    if (piece.logprob.token >= 0) body["logprob"] = logprob_entry(answer, piece);
    return event_line(body);
  }
  std::string end(const Answer& answer) override {
    Json body = whole(answer);
    body.erase("text");
    body["done"] = true;
    return event_line(body);
  }
};

// A prompt as text or ids, or messages.
Generation plain(const ModelText& text, const PromptLimits& limits, const Json& body, bool stream) {
  const Fields fields(body);
  Generation generation;
  read_max_tokens(fields, "max_tokens", generation.request);
  read_max_tokens(fields, "n_predict", generation.request);
  if (fields.has("messages")) {
    read_chat(text, fields, read_messages(fields, "messages"), read_tools(fields), limits, generation);
    generation.dialect = nullptr;  // its answer is the text as it was generated
    generation.request.shown_tokens.clear();
  } else {
    const Json* ids = fields.array("tokens", 1 << 24);
    if (ids != nullptr) generation.prompt_field = "tokens";
    generation.prompts = {ids != nullptr ? read_tokens(text, "tokens", *ids)
                                         : text.tokenizer().encode(fields.required_text("prompt", 64 << 20))};
    cut_prompts(text, fields, limits, generation);
  }
  read_sampling(fields, generation.request);
  read_stop(fields, "stop", generation.request);
  read_constraint(fields, generation);
  if (const auto top = fields.integer("logprobs", 0, 20))
    generation.request.logprobs = static_cast<int>(*top);
  generation.stream = stream;
  generation.progress = fields.boolean("return_progress").value_or(false);
  generation.shape = std::make_unique<PlainShape>();
  return generation;
}

std::string last_part(const ExchangePtr& exchange) {
  return exchange->request.path.substr(exchange->request.path.rfind('/') + 1);
}

ApiError unknown_request(const std::string& id) {
  return {404, fmt::format("there is no request '{}' here", id.substr(0, 128)), "id", "request_not_found"};
}

void status(Service& service, const ExchangePtr& exchange) {
  const std::string id = last_part(exchange);
  if (const auto running = service.running(id)) return exchange->respond({.body = dump(running->status())});
  const Json* past = service.past_status(id);
  if (past == nullptr) throw unknown_request(id);
  exchange->respond({.body = dump(*past)});
}

void status_of_all(Service& service, const ExchangePtr& exchange) {
  Json list = Json::array();
  for (const auto& running : service.all_running()) list.push_back(running->status());
  exchange->respond({.body = dump({{"requests", list}})});
}

void cancel(Service& service, const ExchangePtr& exchange) {
  const std::string id = last_part(exchange);
  const auto running = service.running(id);
  if (running == nullptr && service.past_status(id) == nullptr) throw unknown_request(id);
  if (running != nullptr) running->cancel();
  exchange->respond({.body = dump({{"id", id}, {"cancelled", running != nullptr}})});
}

HttpResponse tokenize(const ModelText& text, const Json& body) {
  const Fields fields(body);
  const std::string content = fields.required_text(fields.has("text") ? "text" : "content", 64 << 20);
  const EncodeOptions options{.add_special = fields.boolean("add_special").value_or(false),
                              .parse_special = fields.boolean("parse_special").value_or(true)};
  const auto ids = text.tokenizer().encode(content, options);
  if (!fields.boolean("with_pieces").value_or(false))
    return {.body = dump({{"tokens", ids}, {"count", ids.size()}})};
  Json pieces = Json::array();
  for (const std::int32_t id : ids) pieces.push_back({{"id", id}, {"piece", text.tokenizer().piece(id)}});
  return {.body = dump({{"tokens", pieces}, {"count", ids.size()}})};
}

HttpResponse detokenize(const ModelText& text, const Json& body) {
  const Fields fields(body);
  const Json* ids = fields.array("tokens", 1 << 24);
  if (ids == nullptr) fail_field("tokens", "expected an array of token ids, found nothing");
  const std::string content = text.tokenizer().decode(read_tokens(text, "tokens", *ids));
  return {.body = dump({{"content", content}, {"text", content}})};
}

HttpResponse apply_template(const ModelText& text, const Json& body) {
  const Fields fields(body);
  const std::string prompt = chat_text(text, fields, read_messages(fields, "messages"), read_tools(fields));
  return {.body = dump({{"prompt", prompt}, {"tokens", text.encode_prompt(prompt).size()}})};
}

}  // namespace

void add_own_routes(std::vector<Route>& routes) {
  constexpr ErrorStyle style = ErrorStyle::openai;
  const auto generate = [](bool stream) {
    return [stream](Service& s, const ExchangePtr& e) {
      s.generate(e, style, [stream](const ModelText& text, const PromptLimits& limits, const Json& body) {
        return plain(text, limits, body, stream);
      });
    };
  };
  const auto answer = [](HttpResponse (*make)(const ModelText&, const Json&)) {
    return [make](Service& s, const ExchangePtr& e) { s.with_text(e, style, make); };
  };
  routes.push_back({"POST", "/generate", style, false, generate(false)});
  routes.push_back({"POST", "/generate/stream", style, false, generate(true)});
  routes.push_back({"GET", "/status", style, false, status_of_all});
  routes.push_back({"GET", "/status/:id", style, false, status});
  routes.push_back({"POST", "/cancel/:id", style, false, cancel});
  routes.push_back({"POST", "/tokenize", style, false, answer(tokenize)});
  routes.push_back({"POST", "/detokenize", style, false, answer(detokenize)});
  routes.push_back({"POST", "/apply-template", style, false, answer(apply_template)});
}

}  // namespace rf
