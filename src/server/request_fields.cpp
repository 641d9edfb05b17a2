#include "server/request_fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "chat/tool_choice.h"

namespace rf {
namespace {

using Limits = std::numeric_limits<float>;

template <class Value, class Found>
void set(Value& value, const Found& found) {
  if (found) value = static_cast<Value>(*found);
}

std::int32_t token_of(const Fields& fields, const std::string& text) {
  std::int32_t token = -1;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), token);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size() || token < 0)
    fail_field(fields.path("logit_bias"), "expected token ids, found '{}'", text.substr(0, 40));
  return token;
}

// -100 and less ban a token, as OpenAI's users expect; false does too, as llama.cpp's do.
float bias_of(const Fields& fields, const Json& value) {
  if (value.is_boolean() && !value.get<bool>()) return -Limits::infinity();
  if (!value.is_number())
    fail_field(fields.path("logit_bias"), "expected numbers, found {}", found_text(value));
  const double bias = value.get<double>();
  if (!(bias >= -1e6 && bias <= 1e6))
    fail_field(fields.path("logit_bias"), "expected -1e6 to 1e6, found {}", bias);
  return bias <= -100 ? -Limits::infinity() : static_cast<float>(bias);
}

// An object of ids and biases, or llama.cpp's list of pairs.
void read_bias(const Fields& fields, SamplerOptions& sampling) {
  const Json* bias = fields.find("logit_bias");
  if (bias == nullptr) return;
  if (!bias->is_object() && !bias->is_array())
    fail_field(fields.path("logit_bias"), "expected an object, found {}", found_text(*bias));
  if (bias->size() > most_bias)
    fail_field(fields.path("logit_bias"), "expected at most {} tokens, found {}", most_bias, bias->size());
  if (bias->is_object()) {
    for (const auto& [token, value] : bias->items())
      sampling.logit_bias.emplace_back(token_of(fields, token), bias_of(fields, value));
    return;
  }
  for (const Json& pair : *bias) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number_integer())
      fail_field(fields.path("logit_bias"), "expected pairs of a token id and a number, found {}",
                 found_text(pair));
    const auto token = pair[0].get<std::int64_t>();
    if (token < 0 || token > std::numeric_limits<std::int32_t>::max())
      fail_field(fields.path("logit_bias"), "expected token ids, found {}", token);
    sampling.logit_bias.emplace_back(static_cast<std::int32_t>(token), bias_of(fields, pair[1]));
  }
}

// llama.cpp's names of the stages; those of penalties are known, since they always come first here.
void read_order(const Fields& fields, SamplerOptions& sampling) {
  using Stage = SamplerStage;
  static const std::pair<std::string_view, Stage> names[] = {{"top_n_sigma", Stage::top_n_sigma},
                                                             {"top_k", Stage::top_k},
                                                             {"typ_p", Stage::typical_p},
                                                             {"typical_p", Stage::typical_p},
                                                             {"top_p", Stage::top_p},
                                                             {"min_p", Stage::min_p},
                                                             {"xtc", Stage::xtc},
                                                             {"temperature", Stage::temperature}};
  const Json* list = fields.array("samplers", 32);
  if (list == nullptr) return;
  sampling.order.clear();
  for (const Json& name : *list) {
    if (name == "penalties" || name == "dry") continue;
    const auto at = std::ranges::find_if(names, [&](const auto& each) { return name == each.first; });
    if (at == std::end(names))
      fail_field(fields.path("samplers"),
                 "expected penalties, dry, top_n_sigma, top_k, typ_p, top_p, min_p, xtc or "
                 "temperature, found {}",
                 found_text(name));
    sampling.order.push_back(at->second);
  }
}

// Any whole number of 64 bits, signed or not; -1 asks for none.
std::optional<std::uint64_t> seed_of(const Fields& fields) {
  const Json* seed = fields.find("seed");
  if (seed == nullptr || *seed == -1) return std::nullopt;
  if (seed->is_number_unsigned()) return seed->get<std::uint64_t>();
  if (seed->is_number_integer()) return static_cast<std::uint64_t>(seed->get<std::int64_t>());
  if (!seed->is_number_float() || std::abs(seed->get<double>()) > 0x1p53)
    fail_field(fields.path("seed"), "expected a whole number of 64 bits, found {}", found_text(*seed));
  return static_cast<std::uint64_t>(*fields.integer("seed", -(std::int64_t{1} << 53), std::int64_t{1} << 53));
}

// Calls as OpenAI writes them, or without the object around the function.
void check_calls(const Fields& message) {
  const Json* calls = message.array("tool_calls", 256);
  for (std::size_t i = 0; calls != nullptr && i < calls->size(); ++i) {
    const Fields call((*calls)[i], fmt::format("{}[{}]", message.path("tool_calls"), i));
    const Json* function = call.object("function");
    if (function == nullptr)
      call.required_text("name", 256);
    else
      Fields(*function, call.path("function")).required_text("name", 256);
  }
}

std::string flat_content(const Json& content, const std::string& where) {
  std::string text;
  for (std::size_t i = 0; i < content.size(); ++i) {
    const Fields fields(content[i], fmt::format("{}[{}]", where, i));
    const std::string type = fields.text("type").value_or("text");
    if (type != "text" && type != "input_text" && type != "output_text")
      fail_field(fields.path("type"), "this model takes text, found '{}'", type);
    text += fields.required_text("text", 64 << 20);
  }
  return text;
}

}  // namespace

void read_sampling(const Fields& fields, Request& request) {
  SamplerOptions& s = request.sampling;
  set(s.temperature, fields.number("temperature", 0, 100));
  set(s.top_p, fields.number("top_p", 0, 1));
  set(s.min_p, fields.number("min_p", 0, 1));
  set(s.top_k, fields.integer("top_k", -1, 1 << 30));
  set(s.repetition_penalty, fields.number("repeat_penalty", 1e-3, 100));
  set(s.repetition_penalty, fields.number("repetition_penalty", 1e-3, 100));
  set(s.penalty_last_n, fields.integer("repeat_last_n", -1, 1 << 30));
  set(s.presence_penalty, fields.number("presence_penalty", -100, 100));
  set(s.frequency_penalty, fields.number("frequency_penalty", -100, 100));
  set(s.typical_p, fields.number("typical_p", 0, 1));
  set(s.top_n_sigma, fields.number("top_n_sigma", -1, 1e6));
  set(s.xtc_probability, fields.number("xtc_probability", 0, 1));
  set(s.xtc_threshold, fields.number("xtc_threshold", 0, 1));
  set(s.dynamic_range, fields.number("dynatemp_range", 0, 100));
  set(s.dynamic_exponent, fields.number("dynatemp_exponent", 0, 100));
  set(s.mirostat, fields.integer("mirostat", 0, 2));
  set(s.mirostat_tau, fields.number("mirostat_tau", 0, 1000));
  set(s.mirostat_eta, fields.number("mirostat_eta", 0, 1000));
  set(s.dry.multiplier, fields.number("dry_multiplier", 0, 1000));
  set(s.dry.base, fields.number("dry_base", 1, 1000));
  set(s.dry.allowed_length, fields.integer("dry_allowed_length", 0, 1 << 20));
  set(s.dry.last_n, fields.integer("dry_penalty_last_n", -1, 1 << 30));
  if (fields.has("dry_sequence_breakers")) s.dry_breakers = fields.texts("dry_sequence_breakers", 64);
  read_order(fields, s);
  set(s.seed, seed_of(fields));
  set(request.ignore_eos, fields.boolean("ignore_eos"));
  read_bias(fields, s);
}

void read_stop(const Fields& fields, const char* name, Request& request) {
  request.stop = fields.texts(name, most_stops);
  for (const std::string& stop : request.stop)
    if (stop.empty() || stop.size() > most_stop_bytes)
      fail_field(fields.path(name), "expected strings of 1 to {} bytes, found one of {}", most_stop_bytes,
                 stop.size());
}

void read_max_tokens(const Fields& fields, const char* name, Request& request) {
  const auto most = fields.integer(name, -1, 1 << 30);
  if (most && *most == 0) fail_field(fields.path(name), "expected at least 1, found 0");
  if (most) request.max_tokens = static_cast<int>(*most);
}

void read_delivery(const Fields& fields, Generation& generation, bool stream_default) {
  generation.stream = fields.boolean("stream").value_or(stream_default);
  generation.progress = fields.boolean("return_progress").value_or(false);
  set(generation.choices, fields.integer("n", 1, 128));
}

void read_constraint(const Fields& fields, Generation& generation) {
  using enum ConstraintSource::Kind;
  message::ConstraintText& constraint = generation.constraint;
  const auto take = [&](const std::string& field, ConstraintSource::Kind kind,
                        std::vector<std::string> texts) {
    if (!constraint.texts.empty()) fail_field(field, "expected one constraint of the answer, found two");
    constraint = {static_cast<std::uint8_t>(kind), std::move(texts)};
    generation.constraint_field = field;
  };
  if (const Json* format = fields.object("response_format")) {
    const Fields inner(*format, fields.path("response_format"));
    const std::string type = inner.required_text("type");
    if (type == "json_object") {
      const Json* schema = inner.object("schema");
      take("response_format", json_schema, {schema != nullptr ? dump(*schema) : R"({"type":"object"})"});
    } else if (type == "json_schema") {
      const Json* outer = inner.object("json_schema");
      if (outer == nullptr) fail_field("response_format.json_schema", "expected an object, found nothing");
      const Json* schema = outer->contains("schema") ? &(*outer)["schema"] : nullptr;
      if (schema == nullptr)
        fail_field("response_format.json_schema.schema", "expected a schema, found nothing");
      take("response_format", json_schema, {dump(*schema)});
    } else if (type != "text") {
      fail_field("response_format.type", "expected text, json_object or json_schema, found '{}'", type);
    }
  }
  if (const auto grammar = fields.text("grammar"); grammar && !grammar->empty())
    take("grammar", gbnf, {*grammar});
  if (const Json* schema = fields.find("json_schema")) take("json_schema", json_schema, {dump(*schema)});
  if (const auto pattern = fields.text("regex", 65536)) take("regex", regex, {*pattern});
  if (fields.has("choice")) {
    const auto texts = fields.texts("choice", 4096);
    if (texts.empty()) fail_field("choice", "expected at least one text, found none");
    take("choice", choice, texts);
  }
}

void refuse_images(const Fields& fields) {
  const Json* images = fields.find("images");  // as Ollama's clients send them
  if (images != nullptr && !images->empty()) fail_field(fields.path("images"), "this model takes text");
}

Json read_messages(const Fields& fields, const char* name) {
  const Json* given = fields.array(name, 4096);
  if (given == nullptr || given->empty())
    fail_field(fields.path(name), "expected an array of messages, found none");
  Json messages = Json::array();
  for (std::size_t i = 0; i < given->size(); ++i) {
    const std::string where = fmt::format("{}[{}]", fields.path(name), i);
    const Fields message((*given)[i], where);
    const std::string role = message.required_text("role", 64);
    Json copy = (*given)[i];
    const Json* content = message.find("content");
    if (content != nullptr && content->is_array())
      copy["content"] = flat_content(*content, where + ".content");
    else if (content != nullptr && !content->is_string())
      fail_field(where + ".content", "expected a string or an array, found {}", found_text(*content));
    else if (content == nullptr && message.find("tool_calls") == nullptr)
      fail_field(where + ".content", "expected a string or an array, found nothing");
    check_calls(message);
    refuse_images(message);
    if (role == "developer") copy["role"] = "system";
    messages.push_back(std::move(copy));
  }
  return messages;
}

Json read_tools(const Fields& fields) {
  const Json* tools = fields.array("tools", 256);
  if (tools == nullptr || tools->empty()) return nullptr;
  for (std::size_t i = 0; i < tools->size(); ++i) {
    const Fields tool((*tools)[i], fmt::format("{}[{}]", fields.path("tools"), i));
    const Json* function = tool.object("function");
    if (function == nullptr) fail_field(tool.path("function"), "expected an object, found nothing");
    const Fields described(*function, tool.path("function"));
    described.required_text("name", 256);
    described.object("parameters");
  }
  const Json* choice = fields.find("tool_choice");
  return choice != nullptr && *choice == "none" ? Json() : *tools;
}

std::vector<std::int32_t> read_tokens(const ModelText& text, const std::string& field, const Json& list) {
  const std::int32_t vocab = text.tokenizer().vocab_size();
  std::vector<std::int32_t> tokens;
  for (const Json& id : list) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() >= vocab)
      fail_field(field, "expected token ids under {}, found {}", vocab, found_text(id));
    tokens.push_back(id.get<std::int32_t>());
  }
  return tokens;
}

std::string chat_text(const ModelText& text, const Fields& fields, const Json& messages, const Json& tools) {
  Json variables = nullptr;
  if (const Json* given = fields.object("chat_template_kwargs")) variables = *given;
  const bool prompt = fields.boolean("add_generation_prompt").value_or(true);
  try {
    return text.render(messages, tools, variables, prompt);
  } catch (const Error& error) {
    fail_field(fields.path("messages"), "the model's chat template refuses them: {}", error.what());
  }
}

namespace {

// "required" and the name of a tool hold the reply to a call.
void read_tool_choice(const ModelText& text, const Fields& fields, const Json& tools,
                      Generation& generation) {
  const Json* choice = fields.find("tool_choice");
  if (choice == nullptr || *choice == "auto" || *choice == "none") return;
  if (tools.is_null()) fail_field(fields.path("tool_choice"), "expected tools beside it, found none");
  Json wanted = tools;
  if (choice->is_object()) {
    const Fields chosen(*choice, fields.path("tool_choice"));
    const Json* function = chosen.object("function");
    const std::string name = function == nullptr
                                 ? chosen.required_text("name", 256)
                                 : Fields(*function, chosen.path("function")).required_text("name", 256);
    std::erase_if(wanted.get_ref<Json::array_t&>(),
                  [&](const Json& tool) { return tool["function"]["name"] != name; });
    if (wanted.empty()) fail_field(fields.path("tool_choice"), "there is no tool '{}' among the tools", name);
  } else if (*choice != "required") {
    fail_field(fields.path("tool_choice"), "expected none, auto, required or a tool, found {}",
               found_text(*choice));
  }
  if (text.dialect().calls->body == CallFormat::Body::no_calls)
    fail_field(fields.path("tool_choice"), "this model has no calls of tools");
  const bool parallel = fields.boolean("parallel_tool_calls").value_or(true) && !choice->is_object();
  const ConstraintSource source = tool_choice(wanted, text.dialect(), generation.prompt_end, parallel);
  generation.constraint = {static_cast<std::uint8_t>(source.kind), source.texts};
  generation.constraint_field = fields.path("tool_choice");
}

}  // namespace

void cut_prompts(const ModelText& text, const Fields& fields, const PromptLimits& limits,
                 Generation& generation) {
  const Truncation truncation(fields, limits, generation.request.max_tokens);
  for (auto& prompt : generation.prompts)
    generation.cut_tokens += truncation.cut(prompt, text.tokenizer().bos());
}

void read_chat(const ModelText& text, const Fields& fields, const Json& messages, const Json& tools,
               const PromptLimits& limits, Generation& generation) {
  constexpr std::size_t end_bytes = 512;
  const std::string prompt = chat_text(text, fields, messages, tools);
  std::vector<std::int32_t> ids = text.encode_prompt(prompt);
  generation.cut_tokens =
      Truncation(fields, limits, generation.request.max_tokens)
          .cut(
              messages,
              [&](const Json& kept) { return text.encode_prompt(chat_text(text, fields, kept, tools)); },
              ids);
  generation.prompts = {std::move(ids)};
  generation.prompt_field = "messages";
  generation.prompt_end = prompt.substr(prompt.size() - std::min(prompt.size(), end_bytes));
  read_tool_choice(text, fields, tools, generation);
  if (fields.text("reasoning_format", 64).value_or("auto") == "none" && tools.is_null()) return;
  generation.dialect = &text.dialect();
  generation.tools = tools;
  generation.request.shown_tokens = text.shown_tokens();
}

}  // namespace rf
