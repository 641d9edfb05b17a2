// Anthropic's Messages API (docs.anthropic.com/en/api/messages).
#include <utility>

#include "server/request_fields.h"
#include "server/service.h"

namespace rf {
namespace {

constexpr ErrorStyle style = ErrorStyle::anthropic;

Json stop_reason(const Choice& choice) {
  switch (choice.finish) {
    case Finish::unfinished:
      return nullptr;
    case Finish::length:
      return "max_tokens";
    case Finish::stop_string:
      return "stop_sequence";
    default:
      return "end_turn";
  }
}

Json stop_sequence(const Choice& choice) {
  return choice.finish == Finish::stop_string ? Json(choice.stop) : Json();
}

Json usage(const Answer& answer, int output) {
  return {{"input_tokens", answer.prompt_tokens() - answer.cached_tokens()},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", answer.cached_tokens()},
          {"output_tokens", output}};
}

class MessageShape : public Shape {
 public:
  ErrorStyle errors() const override { return style; }

  Json whole(const Answer& answer) override {
    const Choice& choice = answer.choices.front();
    Json body = message(answer, choice, Json::array({{{"type", "text"}, {"text", choice.text}}}));
    body["usage"] = usage(answer, answer.tokens());
    return body;
  }
  std::string begin(const Answer& answer) override {
    Json body = message(answer, answer.choices.front(), Json::array());
    body["usage"] = usage(answer, 0);
    return named_event("message_start", {{"type", "message_start"}, {"message", body}}) +
           named_event("content_block_start", {{"type", "content_block_start"},
                                               {"index", 0},
                                               {"content_block", {{"type", "text"}, {"text", ""}}}}) +
           named_event("ping", {{"type", "ping"}});
  }
  std::string piece(const Answer&, const Choice&, const Piece& piece) override {
    return named_event("content_block_delta", {{"type", "content_block_delta"},
                                               {"index", 0},
                                               {"delta", {{"type", "text_delta"}, {"text", piece.text}}}});
  }
  std::string end(const Answer& answer) override {
    const Choice& choice = answer.choices.front();
    return named_event("content_block_stop", {{"type", "content_block_stop"}, {"index", 0}}) +
           named_event(
               "message_delta",
               {{"type", "message_delta"},
                {"delta", {{"stop_reason", stop_reason(choice)}, {"stop_sequence", stop_sequence(choice)}}},
                {"usage", usage(answer, answer.tokens())}}) +
           named_event("message_stop", {{"type", "message_stop"}});
  }
  std::string broken(const ApiError& error) override {
    return "event: error\ndata: " + error_body(style, error) + "\n\n";
  }

 private:
  static Json message(const Answer& answer, const Choice& choice, Json content) {
    return {{"id", "msg_" + answer.id},
            {"type", "message"},
            {"role", "assistant"},
            {"model", answer.model},
            {"content", std::move(content)},
            {"stop_reason", stop_reason(choice)},
            {"stop_sequence", stop_sequence(choice)}};
  }
};

// The system text stands beside the messages.
std::vector<std::int32_t> prompt_of(const ModelText& text, const Fields& fields) {
  Json messages = read_messages(fields, "messages");
  if (fields.has("system")) {
    const Json wrapped = {
        {"messages", Json::array({{{"role", "system"}, {"content", *fields.find("system")}}})}};
    messages.insert(messages.begin(), read_messages(Fields(wrapped), "messages").front());
  }
  return chat_prompt(text, fields, std::move(messages), read_tools(fields));
}

Generation messages(const ModelText& text, const ServedModel&, const Json& body) {
  const Fields fields(body);
  Generation generation;
  if (!fields.has("max_tokens")) fail_field("max_tokens", "expected a whole number, found nothing");
  generation.prompts = {prompt_of(text, fields)};
  read_sampling(fields, generation.request);
  read_stop(fields, "stop_sequences", generation.request);
  read_max_tokens(fields, "max_tokens", generation.request);
  generation.stream = fields.boolean("stream").value_or(false);
  generation.shape = std::make_unique<MessageShape>();
  return generation;
}

HttpResponse count_tokens(const ModelText& text, const Json& body) {
  return {.body = dump({{"input_tokens", prompt_of(text, Fields(body)).size()}})};
}

}  // namespace

void add_anthropic_routes(std::vector<Route>& routes) {
  routes.push_back({"POST", "/v1/messages", style, false,
                    [](Service& s, const ExchangePtr& e) { s.generate(e, style, messages); }});
  routes.push_back({"POST", "/v1/messages/count_tokens", style, false,
                    [](Service& s, const ExchangePtr& e) { s.with_text(e, style, count_tokens); }});
}

}  // namespace rf
