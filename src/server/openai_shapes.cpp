#include "server/openai_shapes.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace rf {
namespace {

constexpr double least_logprob = -9999.0;  // instead of minus infinity, which JSON lacks

double finite(float logprob) {
  return std::isfinite(logprob) ? static_cast<double>(logprob) : least_logprob;
}

Json bytes_of(const std::string& text) {
  Json bytes = Json::array();
  for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

Json finish_reason(const Choice& choice) {
  if (choice.finish == Finish::unfinished) return nullptr;
  const bool calls = !choice.message.tool_calls.empty() && choice.finish == Finish::end_of_text;
  return calls ? "tool_calls" : finish_name(choice.finish);
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

class CompletionShape : public Shape {
 public:
  CompletionShape(bool usage, std::vector<std::string> echoes) : usage_(usage), echoes_(std::move(echoes)) {}

  Json whole(const Answer& answer) override {
    Json choices = Json::array();
    for (const Choice& choice : answer.choices)
      choices.push_back({{"index", choice.index},
                         {"text", echo(choice) + choice.text},
                         {"logprobs", logprobs_of(answer, choice.pieces, 0)},
                         {"finish_reason", finish_reason(choice)}});
    Json body = head(answer);
    body["choices"] = choices;
    body["usage"] = usage_of(answer);
    body["timings"] = timings_of(answer);
    return body;
  }
  std::string begin(const Answer& answer) override {
    offsets_.assign(answer.choices.size(), 0);
    std::string lines;
    if (!echoes_.empty())
      for (const Choice& choice : answer.choices) lines += chunk(answer, choice, echo(choice), {}, {});
    return lines;
  }
  std::string piece(const Answer& answer, const Choice& choice, const Piece& piece) override {
    std::size_t& offset = offsets_[static_cast<std::size_t>(choice.index)];
    const Json logprobs = piece.logprob.token >= 0 ? logprobs_of(answer, {piece}, offset) : Json();
    offset += piece.text.size();
    return chunk(answer, choice, piece.text, logprobs, {});
  }
  std::string finished(const Answer& answer, const Choice& choice) override {
    return chunk(answer, choice, "", {}, finish_reason(choice));
  }
  std::string end(const Answer& answer) override {
    if (!usage_) return "data: [DONE]\n\n";
    Json body = head(answer);
    body["choices"] = Json::array();
    body["usage"] = usage_of(answer);
    return event_line(body) + "data: [DONE]\n\n";
  }

 private:
  static Json head(const Answer& answer) {
    return {{"id", "cmpl-" + answer.id},
            {"object", "text_completion"},
            {"created", answer.created},
            {"model", answer.model}};
  }
  std::string echo(const Choice& choice) const {
    return echoes_.empty() ? "" : echoes_[static_cast<std::size_t>(choice.prompt)];
  }
  static Json logprobs_of(const Answer& answer, const std::vector<Piece>& pieces, std::size_t offset) {
    if (pieces.empty()) return nullptr;
    Json tokens = Json::array(), values = Json::array(), tops = Json::array(), offsets = Json::array();
    for (const Piece& piece : pieces) {
      tokens.push_back(token_text(answer, piece.token));
      values.push_back(finite(piece.logprob.logprob));
      Json top = Json::object();
      for (const TokenLogprob& each : piece.top) top[token_text(answer, each.token)] = finite(each.logprob);
      tops.push_back(std::move(top));
      offsets.push_back(offset);
      offset += piece.text.size();
    }
    return {{"tokens", tokens}, {"token_logprobs", values}, {"top_logprobs", tops}, {"text_offset", offsets}};
  }
  static std::string chunk(const Answer& answer, const Choice& choice, const std::string& text,
                           const Json& logprobs, const Json& finish) {
    Json body = head(answer);
    body["choices"] = Json::array(
        {{{"index", choice.index}, {"text", text}, {"logprobs", logprobs}, {"finish_reason", finish}}});
    return event_line(body);
  }

  const bool usage_;
  const std::vector<std::string> echoes_;
  std::vector<std::size_t> offsets_;  // bytes of text so far, by choice
};

}  // namespace

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

std::unique_ptr<Shape> make_completion_shape(bool usage, std::vector<std::string> echoes) {
  return std::make_unique<CompletionShape>(usage, std::move(echoes));
}

std::vector<std::int32_t> fill_in_prompt(const ModelText& text, const std::string& before,
                                         const std::string& after) {
  const Tokenizer& tokenizer = text.tokenizer();
  const auto token = [&](const char* name, std::initializer_list<const char*> texts) -> std::int32_t {
    const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
    if (text.file().has(key)) return static_cast<std::int32_t>(text.file().get<std::uint32_t>(key));
    for (const char* each : texts)
      if (tokenizer.find(each) >= 0) return tokenizer.find(each);
    return -1;
  };
  const std::int32_t prefix =
      token("fim_pre", {"<|fim_prefix|>", "<fim_prefix>", "<fim-prefix>", "<PRE>", "▁<PRE>", "[PREFIX]"});
  const std::int32_t suffix =
      token("fim_suf", {"<|fim_suffix|>", "<fim_suffix>", "<fim-suffix>", "<SUF>", "▁<SUF>", "[SUFFIX]"});
  const std::int32_t middle =
      token("fim_mid", {"<|fim_middle|>", "<fim_middle>", "<fim-middle>", "<MID>", "▁<MID>", "[MIDDLE]"});
  if (prefix < 0 || suffix < 0 || middle < 0)
    fail_field("suffix", "this model has no tokens to fill in text with");
  std::vector<std::int32_t> ids;
  if (tokenizer.add_bos() && tokenizer.bos() >= 0) ids.push_back(tokenizer.bos());
  const auto add = [&](std::int32_t mark, const std::string& part) {
    ids.push_back(mark);
    const auto encoded = tokenizer.encode(part, {.add_special = false, .parse_special = false});
    ids.insert(ids.end(), encoded.begin(), encoded.end());
  };
  add(prefix, before);
  add(suffix, after);
  ids.push_back(middle);
  return ids;
}

}  // namespace rf
