// OpenAI's Responses API, without state kept here (platform.openai.com/docs/api-reference/responses).
#include <utility>

#include "server/openai_shapes.h"
#include "server/request_fields.h"
#include "server/service.h"

namespace rf {
namespace {

// An output item for the reasoning, the text and each call, in the order in which they come.
class ResponseShape : public Shape {
 public:
  Json whole(const Answer& answer) override {
    const Message& said = answer.choices.front().message;
    const bool whole = answer.choices.front().finish != Finish::length;
    Json output = Json::array();
    if (!said.reasoning.empty()) output.push_back(reasoning_item(answer, said.reasoning));
    if (!said.content.empty() || said.tool_calls.empty())
      output.push_back(message_item(answer, said.content, whole ? "completed" : "incomplete"));
    for (const ToolCall& call : said.tool_calls) output.push_back(call_item(call, "completed"));
    Json body = head(answer, whole ? "completed" : "incomplete");
    if (!whole) body["incomplete_details"] = {{"reason", "max_output_tokens"}};
    body["output"] = std::move(output);
    const Json usage = usage_of(answer);
    body["usage"] = {{"input_tokens", usage["prompt_tokens"]},
                     {"input_tokens_details", usage["prompt_tokens_details"]},
                     {"output_tokens", usage["completion_tokens"]},
                     {"output_tokens_details", {{"reasoning_tokens", 0}}},
                     {"total_tokens", usage["total_tokens"]}};
    return body;
  }

  std::string begin(const Answer& answer) override {
    const std::string created = event("response.created", {{"response", head(answer, "in_progress")}});
    return created + event("response.in_progress", {{"response", head(answer, "in_progress")}});
  }
  std::string piece(const Answer& answer, const Choice&, const Piece& piece) override {
    std::string lines;
    for (const MessageDelta& delta : piece.deltas) {
      if (item_ < 0 || delta.kind != kind_ || delta.call != call_) {
        lines += close(answer);
        lines += open(answer, delta);
      }
      text_ += delta.text;
      const char* name = kind_ == Kind::content     ? "response.output_text.delta"
                         : kind_ == Kind::reasoning ? "response.reasoning_text.delta"
                                                    : "response.function_call_arguments.delta";
      Json body = place(answer);
      if (kind_ != Kind::tool_call) body["content_index"] = 0;
      body["delta"] = delta.text;
      if (kind_ == Kind::content) body["logprobs"] = Json::array();
      lines += event(name, std::move(body));
    }
    return lines;
  }
  std::string end(const Answer& answer) override {
    const bool full = answer.choices.front().finish == Finish::length;
    std::string lines = close(answer);
    return lines + event(full ? "response.incomplete" : "response.completed", {{"response", whole(answer)}});
  }
  std::string broken(const ApiError& error) override {
    return event("error", {{"code", error.code}, {"message", error.what()}, {"param", error.param}});
  }

 private:
  using Kind = MessageDelta::Kind;

  static Json head(const Answer& answer, const char* status) {
    return {{"id", "resp_" + answer.id},
            {"object", "response"},
            {"created_at", answer.created},
            {"status", status},
            {"error", nullptr},
            {"incomplete_details", nullptr},
            {"instructions", nullptr},
            {"metadata", Json::object()},
            {"model", answer.model},
            {"output", Json::array()},
            {"parallel_tool_calls", true},
            {"temperature", nullptr},
            {"tool_choice", "auto"},
            {"tools", Json::array()},
            {"top_p", nullptr}};
  }
  static Json text_part(const std::string& text) {
    return {{"type", "output_text"}, {"text", text}, {"annotations", Json::array()}};
  }
  static Json message_item(const Answer& answer, const std::string& text, const char* status) {
    return {{"id", "msg_" + answer.id},
            {"type", "message"},
            {"status", status},
            {"role", "assistant"},
            {"content", Json::array({text_part(text)})}};
  }
  static Json reasoning_item(const Answer& answer, const std::string& text) {
    return {{"id", "rs_" + answer.id},
            {"type", "reasoning"},
            {"summary", Json::array()},
            {"content", Json::array({{{"type", "reasoning_text"}, {"text", text}}})}};
  }
  static Json call_item(const ToolCall& call, const char* status) {
    return {{"id", "fc_" + call.id}, {"type", "function_call"}, {"status", status},
            {"call_id", call.id},    {"name", call.name},       {"arguments", call.arguments}};
  }

  std::string item_id(const Answer& answer) const {
    if (kind_ == Kind::tool_call) return "fc_" + item_call_.id;
    return (kind_ == Kind::content ? "msg_" : "rs_") + answer.id;
  }
  Json place(const Answer& answer) const { return {{"item_id", item_id(answer)}, {"output_index", item_}}; }
  // Numbers the events, hence they are to be made in their order.
  std::string event(const std::string& type, Json body) {
    Json value = {{"type", type}, {"sequence_number", sequence_++}};
    value.update(body);
    return named_event(type, value);
  }

  std::string open(const Answer& answer, const MessageDelta& delta) {
    kind_ = delta.kind;
    call_ = delta.call;
    ++item_;
    open_ = true;
    text_.clear();
    item_call_ = {.id = delta.id, .name = delta.name, .arguments = {}};
    Json item;
    if (kind_ == Kind::content) {
      item = message_item(answer, "", "in_progress");
      item["content"] = Json::array();
    } else if (kind_ == Kind::reasoning) {
      item = reasoning_item(answer, "");
    } else {
      item = call_item(item_call_, "in_progress");
    }
    std::string lines =
        event("response.output_item.added", {{"output_index", item_}, {"item", std::move(item)}});
    if (kind_ != Kind::content) return lines;
    Json body = place(answer);
    body["content_index"] = 0;
    body["part"] = text_part("");
    return lines + event("response.content_part.added", std::move(body));
  }
  std::string close(const Answer& answer) {
    if (!std::exchange(open_, false)) return "";
    const bool cut = answer.choices.front().finish == Finish::length;
    const char* status = cut ? "incomplete" : "completed";
    std::string lines;
    Json item, body = place(answer);
    if (kind_ == Kind::content) {
      item = message_item(answer, text_, status);
      body["content_index"] = 0;
      Json part = body;
      body["text"] = text_;
      body["logprobs"] = Json::array();
      part["part"] = text_part(text_);
      lines = event("response.output_text.done", std::move(body));
      lines += event("response.content_part.done", std::move(part));
    } else if (kind_ == Kind::reasoning) {
      item = reasoning_item(answer, text_);
    } else {
      item_call_.arguments = text_;
      item = call_item(item_call_, status);
      body["name"] = item_call_.name;
      body["arguments"] = text_;
      lines = event("response.function_call_arguments.done", std::move(body));
    }
    return lines + event("response.output_item.done", {{"output_index", item_}, {"item", std::move(item)}});
  }

  int item_ = -1, call_ = -1, sequence_ = 0;
  Kind kind_ = Kind::content;
  bool open_ = false;
  std::string text_;  // of the item
  ToolCall item_call_;
};

// Items become messages, as chats have them.
Json messages_of(const Fields& fields) {
  Json list = Json::array();
  if (const auto instructions = fields.text("instructions"); instructions && !instructions->empty())
    list.push_back({{"role", "system"}, {"content", *instructions}});
  const Json* input = fields.find("input");
  if (input == nullptr) fail_field("input", "expected a string or an array, found nothing");
  if (input->is_string()) {
    list.push_back({{"role", "user"}, {"content", *input}});
  } else {
    const Json* items = fields.array("input", 4096);
    for (std::size_t i = 0; i < items->size(); ++i) {
      const Fields item((*items)[i], fmt::format("input[{}]", i));
      const std::string type = item.text("type", 64).value_or("message");
      if (type == "message") {
        list.push_back({{"role", item.required_text("role", 64)},
                        {"content", item.has("content") ? *item.find("content") : Json()}});
      } else if (type == "function_call") {
        const Json call = {
            {"id", item.required_text("call_id", 256)},
            {"type", "function"},
            {"function",
             {{"name", item.required_text("name", 256)}, {"arguments", item.required_text("arguments")}}}};
        list.push_back({{"role", "assistant"}, {"content", ""}, {"tool_calls", Json::array({call})}});
      } else if (type == "function_call_output") {
        list.push_back({{"role", "tool"},
                        {"tool_call_id", item.required_text("call_id", 256)},
                        {"content", item.has("output") ? *item.find("output") : Json("")}});
      } else if (type != "reasoning") {
        fail_field(item.path("type"), "expected message, function_call or function_call_output, found '{}'",
                   type);
      }
    }
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
    if (tool.required_text("type", 64) != "function")
      fail_field(tool.path("type"), "expected function, found '{}'", *tool.text("type"));
    Json function = {{"name", tool.required_text("name", 256)}};
    if (tool.has("description")) function["description"] = *tool.find("description");
    if (const Json* parameters = tool.object("parameters")) function["parameters"] = *parameters;
    tools.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  const Json* choice = fields.find("tool_choice");
  return choice != nullptr && *choice == "none" ? Json() : tools;
}

void read_format(const Fields& fields, Generation& generation) {
  const Json* text = fields.object("text");
  const Json* format = text == nullptr ? nullptr : Fields(*text, "text").object("format");
  if (format == nullptr) return;
  const Fields inner(*format, "text.format");
  const std::string type = inner.required_text("type", 64);
  if (type == "text") return;
  Json wrapped = {{"type", type}};
  if (type == "json_schema") wrapped["json_schema"] = *format;
  const Json outer = {{"response_format", std::move(wrapped)}};
  read_constraint(Fields(outer), generation);
  generation.constraint_field = "text.format";
}

Generation respond(const ModelText& text, const PromptLimits& limits, const Json& body) {
  const Fields fields(body);
  Generation generation;
  if (fields.has("previous_response_id"))
    fail_field("previous_response_id", "responses are not kept here: send the whole conversation as input");
  if (fields.boolean("background").value_or(false)) fail_field("background", "expected false");
  read_max_tokens(fields, "max_output_tokens", generation.request);
  read_chat(text, fields, messages_of(fields), tools_of(fields), limits, generation);
  generation.prompt_field = "input";
  read_sampling(fields, generation.request);
  read_format(fields, generation);
  generation.stream = fields.boolean("stream").value_or(false);
  generation.shape = std::make_unique<ResponseShape>();
  return generation;
}

}  // namespace

void add_response_routes(std::vector<Route>& routes) {
  constexpr ErrorStyle style = ErrorStyle::openai;
  routes.push_back({"POST", "/v1/responses", style, false,
                    [](Service& s, const ExchangePtr& e) { s.generate(e, style, respond); }});
}

}  // namespace rf
