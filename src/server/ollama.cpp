// Ollama's API (github.com/ollama/ollama/blob/main/docs/api.md): a line of JSON a piece.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <ctime>

#include "server/request_fields.h"
#include "server/service.h"

namespace rf {
namespace {

constexpr ErrorStyle ollama_errors = ErrorStyle::ollama;

std::string time_text(std::int64_t seconds) {
  const std::time_t time = seconds;
  std::tm utc{};
  ::gmtime_r(&time, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

class OllamaShape : public Shape {
 public:
  explicit OllamaShape(bool chat) : chat_(chat) {}
  ErrorStyle errors() const override { return ollama_errors; }
  const char* stream_type() const override { return "application/x-ndjson"; }

  Json whole(const Answer& answer) override {
    const Message& message = answer.choices.front().message;
    Json body = part(answer, message.content);
    if (!message.reasoning.empty()) add(body, "thinking", message.reasoning);
    for (const ToolCall& call : message.tool_calls) add_call(body, call);
    add_end(answer, body);
    return body;
  }
  // A call is told when it is complete.
  std::string piece(const Answer& answer, const Choice&, const Piece& piece) override {
    std::string lines;
    for (const MessageDelta& delta : piece.deltas) {
      if (delta.kind == MessageDelta::Kind::tool_call) continue;
      const bool thought = delta.kind == MessageDelta::Kind::reasoning;
      Json body = part(answer, thought ? "" : delta.text);
      if (thought) add(body, "thinking", delta.text);
      body["done"] = false;
      lines += dump(body) + "\n";
    }
    return lines;
  }
  std::string finished(const Answer& answer, const Choice& choice) override {
    if (choice.message.tool_calls.empty()) return "";
    Json body = part(answer, "");
    for (const ToolCall& call : choice.message.tool_calls) add_call(body, call);
    body["done"] = false;
    return dump(body) + "\n";
  }
  std::string end(const Answer& answer) override {
    Json body = part(answer, "");
    add_end(answer, body);
    return dump(body) + "\n";
  }
  std::string broken(const ApiError& error) override { return error_body(ollama_errors, error) + "\n"; }

 private:
  Json part(const Answer& answer, const std::string& text) const {
    Json body = {{"model", answer.model}, {"created_at", time_text(answer.created)}};
    if (chat_)
      body["message"] = {{"role", "assistant"}, {"content", text}};
    else
      body["response"] = text;
    return body;
  }
  void add(Json& body, const char* name, const std::string& text) const {
    (chat_ ? body["message"] : body)[name] = text;
  }
  static void add_call(Json& body, const ToolCall& call) {
    body["message"]["tool_calls"].push_back(
        {{"function", {{"name", call.name}, {"arguments", object_of(call.arguments)}}}});
  }
  static void add_end(const Answer& answer, Json& body) {
    body["done"] = true;
    body["done_reason"] = answer.choices.front().finish == Finish::length ? "length" : "stop";
    body["total_duration"] = answer.last_ns - answer.started_ns;
    body["load_duration"] = answer.load_ns;
    body["prompt_eval_count"] = answer.prompt_tokens();
    body["prompt_eval_duration"] = answer.first_ns - answer.started_ns;
    body["eval_count"] = answer.tokens();
    body["eval_duration"] = answer.last_ns - answer.first_ns;
  }

  const bool chat_;
};

// "5m", "1h30m" or seconds; -1 for ever.
std::int64_t keep_ns(const Fields& fields) {
  const Json& value = *fields.find("keep_alive");
  double seconds = 0;
  if (value.is_number()) {
    seconds = value.get<double>();
  } else {
    const std::string text = fields.required_text("keep_alive", 64);
    const char *at = text.data(), *end = at + text.size();
    do {
      double number = 0;
      const auto [rest, error] = std::from_chars(at, end, number);
      if (error != std::errc() || !std::isfinite(number))
        fail_field("keep_alive", "expected a duration like 5m or seconds, found '{}'", text);
      const std::string_view unit(
          rest, static_cast<std::size_t>(std::find_if(rest, end, [](char c) { return c < 'a'; }) - rest));
      const double factor = unit == "h"                   ? 3600
                            : unit == "m"                 ? 60
                            : unit == "s" || unit.empty() ? 1
                            : unit == "ms"                ? 1e-3
                                                          : -1;
      if (factor < 0) fail_field("keep_alive", "expected a duration like 5m or seconds, found '{}'", text);
      seconds += number * factor;
      at = unit.data() + unit.size();
    } while (at < end);
  }
  return seconds < 0 ? -1 : static_cast<std::int64_t>(std::min(seconds, 1e9) * 1e9);
}

Fields options_of(const Fields& fields) {
  static const Json none = Json::object();
  const Json* given = fields.object("options");
  return Fields(given == nullptr ? none : *given, "options");
}

void read_options(const Fields& fields, Generation& generation) {
  const Fields options = options_of(fields);
  read_sampling(options, generation.request);
  read_stop(options, "stop", generation.request);
  if (const Json* format = fields.find("format"); format != nullptr && *format != "") {
    const bool json = *format == "json";
    if (!json && !format->is_object())
      fail_field("format", "expected \"json\" or a schema, found {}", found_text(*format));
    generation.constraint = {0, {json ? R"({"type":"object"})" : dump(*format)}};
    generation.constraint_field = "format";
  }
  generation.stream = fields.boolean("stream").value_or(true);
}

Generation chat(const ModelText& text, const PromptLimits& limits, const Json& body) {
  const Fields fields(body);
  Generation generation;
  read_max_tokens(options_of(fields), "num_predict", generation.request);
  read_chat(text, fields, read_messages(fields, "messages"), read_tools(fields), limits, generation);
  read_options(fields, generation);
  generation.shape = std::make_unique<OllamaShape>(true);
  return generation;
}

Generation generate(const ModelText& text, const PromptLimits& limits, const Json& body) {
  const Fields fields(body);
  Generation generation;
  const std::string prompt = fields.required_text("prompt", 64 << 20);
  refuse_images(fields);
  read_max_tokens(options_of(fields), "num_predict", generation.request);
  if (fields.boolean("raw").value_or(false)) {
    generation.prompts = {text.tokenizer().encode(prompt)};
    cut_prompts(text, fields, limits, generation);
  } else {
    Json messages = Json::array({{{"role", "user"}, {"content", prompt}}});
    if (const auto system = fields.text("system"); system && !system->empty())
      messages.insert(messages.begin(), Json{{"role", "system"}, {"content", *system}});
    read_chat(text, fields, messages, nullptr, limits, generation);
    generation.prompt_field = "prompt";
  }
  read_options(fields, generation);
  generation.shape = std::make_unique<OllamaShape>(false);
  return generation;
}

// Without a prompt or messages a request only loads the model, or lets it go.
void load_only(Service& service, const ExchangePtr& exchange, const char* field, bool is_chat) {
  service.with_model(
      exchange, ollama_errors,
      [&service, exchange, field, is_chat](ServedModel& model, std::shared_ptr<const Json> body) {
        const Fields fields(*body);
        if (fields.has("keep_alive")) model.keep_ns = keep_ns(fields);
        const Json* given = fields.find(field);
        if (given != nullptr && !given->empty() && *given != "")
          return service.generate(exchange, ollama_errors, is_chat ? chat : generate);
        Json answer = {{"model", model.name}, {"created_at", time_text(std::time(nullptr))}, {"done", true}};
        answer["done_reason"] = model.keep_ns == 0 ? "unload" : "load";
        if (is_chat)
          answer["message"] = {{"role", "assistant"}, {"content", ""}};
        else
          answer["response"] = "";
        exchange->respond({.content_type = "application/x-ndjson", .body = dump(answer) + "\n"});
      });
}

Json details(const ServedModel& model) {
  const std::string family = model.text == nullptr ? "" : model.text->family();
  return {{"parent_model", ""},   {"format", "gguf"},
          {"family", family},     {"families", Json::array({family})},
          {"parameter_size", ""}, {"quantization_level", ""}};
}

Json card(const ServedModel& model) {
  return {{"name", model.name},  {"model", model.name}, {"modified_at", time_text(model.created)},
          {"size", model.bytes}, {"digest", ""},        {"details", details(model)}};
}

void tags(Service& service, const ExchangePtr& exchange) {
  Json list = Json::array();
  for (const auto& model : service.models().all()) list.push_back(card(*model));
  exchange->respond({.body = dump({{"models", list}})});
}

void loaded(Service& service, const ExchangePtr& exchange) {
  Json list = Json::array();
  for (const auto& model : service.models().all()) {
    if (model->engine.state() != EngineHost::State::ready) continue;
    Json value = card(*model);
    value.erase("modified_at");
    const std::int64_t keep =
        model->keep_ns < 0 ? std::int64_t{100} * 365 * 86400 : model->keep_ns / 1'000'000'000;
    value["expires_at"] = time_text(std::time(nullptr) + keep);
    value["size_vram"] = 0;
    value["context_length"] = model->engine.facts().context;
    list.push_back(std::move(value));
  }
  exchange->respond({.body = dump({{"models", list}})});
}

void show(Service& service, const ExchangePtr& exchange) {
  service.with_model(exchange, ollama_errors, [exchange](ServedModel& model, std::shared_ptr<const Json>) {
    const std::string& family = model.text->family();
    Json info = {{"general.architecture", family}};
    if (model.engine.state() == EngineHost::State::ready)
      info[family + ".context_length"] = model.engine.facts().context;
    exchange->respond({.body = dump({{"modelfile", ""},
                                     {"parameters", ""},
                                     {"template", model.text->template_source()},
                                     {"details", details(model)},
                                     {"model_info", info},
                                     {"capabilities", Json::array({"completion"})},
                                     {"modified_at", time_text(model.created)}})});
  });
}

}  // namespace

void add_ollama_routes(std::vector<Route>& routes) {
  routes.push_back({"POST", "/api/chat", ollama_errors, false,
                    [](Service& s, const ExchangePtr& e) { load_only(s, e, "messages", true); }});
  routes.push_back({"POST", "/api/generate", ollama_errors, false,
                    [](Service& s, const ExchangePtr& e) { load_only(s, e, "prompt", false); }});
  routes.push_back({"GET", "/api/tags", ollama_errors, false, tags});
  routes.push_back({"GET", "/api/ps", ollama_errors, false, loaded});
  routes.push_back({"POST", "/api/show", ollama_errors, false, show});
  routes.push_back({"GET", "/api/version", ollama_errors, true, [](Service&, const ExchangePtr& e) {
                      e->respond({.body = dump({{"version", RF_VERSION}})});
                    }});
}

}  // namespace rf
