// Anthropic's Messages API (docs.anthropic.com/en/api/messages).
#include <utility>

#include "server/request_fields.h"
#include "server/service.h"

namespace rf {
namespace {

constexpr ErrorStyle anthropic_errors = ErrorStyle::anthropic;

Json stop_reason(const Choice& choice) {
  switch (choice.finish) {
    case Finish::unfinished:
      return nullptr;
    case Finish::length:
      return "max_tokens";
    case Finish::stop_string:
      return "stop_sequence";
    default:
      return choice.message.tool_calls.empty() ? "end_turn" : "tool_use";
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

// A block of content for each stretch of text or thinking, and for each call.
class MessageShape : public Shape {
 public:
  ErrorStyle errors() const override { return anthropic_errors; }

  Json whole(const Answer& answer) override {
    const Message& said = answer.choices.front().message;
    Json content = Json::array();
    if (!said.reasoning.empty())
      content.push_back({{"type", "thinking"}, {"thinking", said.reasoning}, {"signature", ""}});
    if (!said.content.empty() || said.tool_calls.empty())
      content.push_back({{"type", "text"}, {"text", said.content}});
    for (const ToolCall& call : said.tool_calls) {
      content.push_back(
          {{"type", "tool_use"}, {"id", call.id}, {"name", call.name}, {"input", object_of(call.arguments)}});
    }
    Json body = message(answer, answer.choices.front(), std::move(content));
    body["usage"] = usage(answer, answer.tokens());
    return body;
  }
  std::string begin(const Answer& answer) override {
    Json body = message(answer, answer.choices.front(), Json::array());
    body["usage"] = usage(answer, 0);
    return named_event("message_start", {{"type", "message_start"}, {"message", body}}) +
           named_event("ping", {{"type", "ping"}});
  }
  std::string piece(const Answer&, const Choice&, const Piece& piece) override {
    std::string lines;
    for (const MessageDelta& delta : piece.deltas) {
      if (block_ < 0 || delta.kind != kind_ || delta.call != call_) {
        lines += close();
        lines += open(delta);
      }
      Json change;
      if (delta.kind == Kind::content)
        change = {{"type", "text_delta"}, {"text", delta.text}};
      else if (delta.kind == Kind::reasoning)
        change = {{"type", "thinking_delta"}, {"thinking", delta.text}};
      else
        change = {{"type", "input_json_delta"}, {"partial_json", delta.text}};
      lines +=
          named_event("content_block_delta",
                      {{"type", "content_block_delta"}, {"index", block_}, {"delta", std::move(change)}});
    }
    return lines;
  }
  std::string end(const Answer& answer) override {
    const Choice& choice = answer.choices.front();
    return close() +
           named_event(
               "message_delta",
               {{"type", "message_delta"},
                {"delta", {{"stop_reason", stop_reason(choice)}, {"stop_sequence", stop_sequence(choice)}}},
                {"usage", usage(answer, answer.tokens())}}) +
           named_event("message_stop", {{"type", "message_stop"}});
  }
  std::string broken(const ApiError& error) override {
    return "event: error\ndata: " + error_body(anthropic_errors, error) + "\n\n";
  }

 private:
  using Kind = MessageDelta::Kind;

  std::string open(const MessageDelta& delta) {
    kind_ = delta.kind;
    call_ = delta.call;
    ++block_;
    opened_ = true;
    Json block;
    if (kind_ == Kind::content)
      block = {{"type", "text"}, {"text", ""}};
    else if (kind_ == Kind::reasoning)
      block = {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}};
    else
      block = {{"type", "tool_use"}, {"id", delta.id}, {"name", delta.name}, {"input", Json::object()}};
    return named_event(
        "content_block_start",
        {{"type", "content_block_start"}, {"index", block_}, {"content_block", std::move(block)}});
  }
  std::string close() {
    if (!std::exchange(opened_, false)) return "";
    return named_event("content_block_stop", {{"type", "content_block_stop"}, {"index", block_}});
  }
  static Json message(const Answer& answer, const Choice& choice, Json content) {
    return {{"id", "msg_" + answer.id},
            {"type", "message"},
            {"role", "assistant"},
            {"model", answer.model},
            {"content", std::move(content)},
            {"stop_reason", stop_reason(choice)},
            {"stop_sequence", stop_sequence(choice)}};
  }

  int block_ = -1, call_ = -1;
  Kind kind_ = Kind::content;
  bool opened_ = false;
};

// Blocks of calls and their results become messages as templates know them.
Json flat_messages(const Fields& fields) {
  const Json* given = fields.array("messages", 4096);
  if (given == nullptr || given->empty()) fail_field("messages", "expected an array of messages, found none");
  Json list = Json::array();
  if (const Json* system = fields.find("system")) list.push_back({{"role", "system"}, {"content", *system}});
  for (std::size_t i = 0; i < given->size(); ++i) {
    const std::string where = fmt::format("messages[{}]", i);
    const Fields message((*given)[i], where);
    const std::string role = message.required_text("role", 64);
    if (role != "user" && role != "assistant" && role != "system")
      fail_field(where + ".role", "expected user or assistant, found '{}'", role.substr(0, 64));
    const Json* content = message.find("content");
    if (content == nullptr || !content->is_array()) {
      list.push_back((*given)[i]);
      continue;
    }
    Json texts = Json::array(), calls = Json::array();
    for (const Json& block : *content) {
      const Fields part(block, where + ".content");
      const std::string type = part.text("type", 64).value_or("text");
      if (type == "tool_use") {
        const Json* input = part.object("input");
        calls.push_back({{"id", part.required_text("id", 256)},
                         {"type", "function"},
                         {"function",
                          {{"name", part.required_text("name", 256)},
                           {"arguments", dump(input == nullptr ? Json::object() : *input)}}}});
      } else if (type == "tool_result") {
        const Json* result = part.find("content");
        list.push_back({{"role", "tool"},
                        {"tool_call_id", part.required_text("tool_use_id", 256)},
                        {"content", result == nullptr ? Json("") : *result}});
      } else if (type != "thinking" && type != "redacted_thinking") {
        texts.push_back(block);
      }
    }
    if (texts.empty() && calls.empty()) continue;
    Json flat = {{"role", role}, {"content", texts.empty() ? Json("") : texts}};
    if (!calls.empty()) flat["tool_calls"] = std::move(calls);
    list.push_back(std::move(flat));
  }
  const Json wrapped = {{"messages", std::move(list)}};
  return read_messages(Fields(wrapped), "messages");
}

Json tools_of(const Fields& fields) {
  const Json* given = fields.array("tools", 256);
  if (given == nullptr || given->empty()) return nullptr;
  Json tools = Json::array();
  for (std::size_t i = 0; i < given->size(); ++i) {
    const Fields tool((*given)[i], fmt::format("tools[{}]", i));
    const Json* schema = tool.object("input_schema");
    tools.push_back({{"type", "function"},
                     {"function",
                      {{"name", tool.required_text("name", 256)},
                       {"description", tool.text("description").value_or("")},
                       {"parameters", schema == nullptr ? Json::object() : *schema}}}});
  }
  return tools;
}

// In OpenAI's terms, as read_chat() takes it.
Json openai_choice(const Fields& fields) {
  const Json* choice = fields.object("tool_choice");
  if (choice == nullptr) return Json::object();
  const Fields inner(*choice, "tool_choice");
  const std::string type = inner.required_text("type", 64);
  Json value = type == "any" ? Json("required") : Json(type);
  if (type == "tool")
    value = {{"function", {{"name", inner.required_text("name", 256)}}}};
  else if (type != "auto" && type != "any" && type != "none")
    fail_field("tool_choice.type", "expected auto, any, tool or none, found '{}'", type);
  return {{"tool_choice", value},
          {"parallel_tool_calls", !inner.boolean("disable_parallel_tool_use").value_or(false)}};
}

Generation messages(const ModelText& text, const PromptLimits& limits, const Json& body) {
  const Fields fields(body);
  Generation generation;
  if (!fields.has("max_tokens")) fail_field("max_tokens", "expected a whole number, found nothing");
  Json choice = openai_choice(fields);
  choice["truncate_prompt"] = asks_to_truncate(fields, limits.shift);
  const bool none = choice.value("tool_choice", Json()) == "none";
  read_max_tokens(fields, "max_tokens", generation.request);
  read_chat(text, Fields(choice), flat_messages(fields), none ? Json() : tools_of(fields), limits,
            generation);
  read_sampling(fields, generation.request);
  read_stop(fields, "stop_sequences", generation.request);
  generation.stream = fields.boolean("stream").value_or(false);
  generation.shape = std::make_unique<MessageShape>();
  return generation;
}

HttpResponse count_tokens(const ModelText& text, const Json& body) {
  const Fields fields(body);
  const std::string prompt = chat_text(text, fields, flat_messages(fields), tools_of(fields));
  return {.body = dump({{"input_tokens", text.encode_prompt(prompt).size()}})};
}

}  // namespace

void add_anthropic_routes(std::vector<Route>& routes) {
  routes.push_back({"POST", "/v1/messages", anthropic_errors, false,
                    [](Service& s, const ExchangePtr& e) { s.generate(e, anthropic_errors, messages); }});
  routes.push_back(
      {"POST", "/v1/messages/count_tokens", anthropic_errors, false,
       [](Service& s, const ExchangePtr& e) { s.with_text(e, anthropic_errors, count_tokens); }});
}

}  // namespace rf
