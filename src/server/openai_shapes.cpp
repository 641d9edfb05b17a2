#include "server/openai_shapes.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace rf {
namespace {

Json bytes_of(const std::string& text) {
  Json bytes = Json::array();
  for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

Json message_of(const Message& message) {
  Json value = {{"role", "assistant"}, {"content", message.content}};
  if (!message.reasoning.empty()) value["reasoning_content"] = message.reasoning;
  if (message.tool_calls.empty()) return value;
  if (message.content.empty()) value["content"] = nullptr;
  for (const ToolCall& call : message.tool_calls)
    value["tool_calls"].push_back({{"id", call.id},
                                   {"type", "function"},
                                   {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  return value;
}

Json delta_of(const MessageDelta& delta) {
  if (delta.kind == MessageDelta::Kind::content) return {{"content", delta.text}};
  if (delta.kind == MessageDelta::Kind::reasoning) return {{"reasoning_content", delta.text}};
  Json call = {{"index", delta.call}};
  if (!delta.name.empty()) {
    call["id"] = delta.id;
    call["type"] = "function";
    call["function"]["name"] = delta.name;
  }
  call["function"]["arguments"] = delta.text;
  return {{"tool_calls", Json::array({std::move(call)})}};
}

class ChatShape : public Shape {
 public:
  explicit ChatShape(bool usage) : usage_(usage) {}

  Json whole(const Answer& answer) override {
    Json choices = Json::array();
    for (const Choice& choice : answer.choices) {
      Json entries = Json::array();
      for (const Piece& piece : choice.pieces) entries.push_back(logprob_entry(answer, piece));
      choices.push_back({{"index", choice.index},
                         {"message", message_of(choice.message)},
                         {"logprobs", entries.empty() ? Json() : Json{{"content", entries}}},
                         {"finish_reason", finish_reason(choice)}});
    }
    Json body = head(answer, "chat.completion");
    body["choices"] = choices;
    body["usage"] = usage_of(answer);
    body["timings"] = timings_of(answer);
    return body;
  }

  std::string begin(const Answer& answer) override {
    std::string lines;
    for (const Choice& choice : answer.choices)
      lines += chunk(answer, choice, {{"role", "assistant"}, {"content", ""}});
    return lines;
  }
  std::string progress(const Answer& answer, const Choice& choice) override {
    Json body = head(answer, "chat.completion.chunk");
    body["choices"] = Json::array();
    body["prompt_progress"] = {{"index", choice.index},
                               {"total", choice.prompt_tokens},
                               {"cache", choice.prompt_cached},
                               {"processed", choice.prompt_done}};
    return event_line(body);
  }
  std::string piece(const Answer& answer, const Choice& choice, const Piece& piece) override {
    Json logprobs =
        piece.logprob.token >= 0 ? Json{{"content", Json::array({logprob_entry(answer, piece)})}} : Json();
    std::string lines;
    for (const MessageDelta& delta : piece.deltas)
      lines += chunk(answer, choice, delta_of(delta), std::exchange(logprobs, nullptr));
    if (!logprobs.is_null()) lines += chunk(answer, choice, {{"content", ""}}, std::move(logprobs));
    return lines;
  }
  std::string finished(const Answer& answer, const Choice& choice) override {
    return chunk(answer, choice, Json::object(), {}, finish_reason(choice));
  }
  std::string end(const Answer& answer) override {
    if (!usage_) return "data: [DONE]\n\n";
    Json body = head(answer, "chat.completion.chunk");
    body["choices"] = Json::array();
    body["usage"] = usage_of(answer);
    body["timings"] = timings_of(answer);
    return event_line(body) + "data: [DONE]\n\n";
  }

 private:
  static Json head(const Answer& answer, const char* object) {
    return {{"id", "chatcmpl-" + answer.id},
            {"object", object},
            {"created", answer.created},
            {"model", answer.model},
            {"system_fingerprint", "rocmforge-" RF_VERSION}};
  }
  static std::string chunk(const Answer& answer, const Choice& choice, Json delta, Json logprobs = {},
                           Json finish = {}) {
    Json body = head(answer, "chat.completion.chunk");
    body["choices"] = Json::array({{{"index", choice.index},
                                    {"delta", std::move(delta)},
                                    {"logprobs", std::move(logprobs)},
                                    {"finish_reason", std::move(finish)}}});
    return event_line(body);
  }

  const bool usage_;
};

}  // namespace

double finite(float logprob) {
  return std::isfinite(logprob) ? static_cast<double>(logprob) : -9999.0;
}

Json finish_reason(const Choice& choice) {
  if (choice.finish == Finish::unfinished) return nullptr;
  const bool calls = !choice.message.tool_calls.empty() && choice.finish == Finish::end_of_text;
  return calls ? "tool_calls" : finish_name(choice.finish);
}

std::string token_text(const Answer& answer, std::int32_t token) {
  return answer.tokenizer->piece(token);
}

Json logprob_entry(const Answer& answer, const Piece& piece) {
  const auto entry = [&](const TokenLogprob& each) {
    const std::string text = token_text(answer, each.token);
    return Json{{"token", text}, {"logprob", finite(each.logprob)}, {"bytes", bytes_of(text)}};
  };
  Json value = entry(piece.logprob);
  Json top = Json::array();
  for (const TokenLogprob& each : piece.top) top.push_back(entry(each));
  value["top_logprobs"] = std::move(top);
  return value;
}

Json usage_of(const Answer& answer) {
  return {{"prompt_tokens", answer.prompt_tokens()},
          {"completion_tokens", answer.tokens()},
          {"total_tokens", answer.prompt_tokens() + answer.tokens()},
          {"prompt_tokens_details", {{"cached_tokens", answer.cached_tokens()}}}};
}

Json timings_of(const Answer& answer) {
  const double prompt_ms = static_cast<double>(answer.first_ns - answer.started_ns) * 1e-6;
  const double predicted_ms = static_cast<double>(answer.last_ns - answer.first_ns) * 1e-6;
  const int read = answer.prompt_tokens() - answer.cached_tokens();
  const auto rate = [](double count, double ms) { return ms > 0 && count > 0 ? count / ms * 1e3 : 0.0; };
  return {{"cache_n", answer.cached_tokens()},
          {"prompt_n", read},
          {"prompt_ms", prompt_ms},
          {"prompt_per_second", rate(read, prompt_ms)},
          {"predicted_n", answer.tokens()},
          {"predicted_ms", predicted_ms},
          {"predicted_per_second", rate(answer.tokens() - 1, predicted_ms)}};
}

std::unique_ptr<Shape> make_chat_shape(bool usage) {
  return std::make_unique<ChatShape>(usage);
}

bool usage_wanted(const Fields& fields) {
  const Json* options = fields.object("stream_options");
  return options != nullptr && Fields(*options, "stream_options").boolean("include_usage").value_or(false);
}

}  // namespace rf
