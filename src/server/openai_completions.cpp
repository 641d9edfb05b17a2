// OpenAI's text completions (platform.openai.com/docs/api-reference/completions).
#include <algorithm>
#include <utility>

#include "server/openai_shapes.h"
#include "server/request_fields.h"
#include "server/service.h"

namespace rf {
namespace {

using Tokens = std::vector<std::int32_t>;

// Characters of UTF-8, in which clients count places of a text.
std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// A prompt that is told again before its answer.
struct Echo {
  std::string text;
  Tokens tokens;
  std::vector<std::size_t> offsets;  // of the tokens, in the text
};

Echo echo_of(const Tokenizer& tokenizer, const Tokens& tokens) {
  Echo echo{.text = {}, .tokens = tokens, .offsets = {}};
  Detokenizer detokenizer(tokenizer);
  for (const std::int32_t token : tokens) {
    echo.offsets.push_back(characters(echo.text));
    echo.text += detokenizer.push(token);
  }
  echo.text += detokenizer.finish();
  return echo;
}

// The lists of log-probabilities, token by token.
class LogprobLists {
 public:
  explicit LogprobLists(const Answer& answer) : answer_(answer) {}

  // Without a log-probability: the first of a prompt.
  void add(std::int32_t token, const TokenLogprob* logprob, const std::vector<TokenLogprob>& top,
           std::size_t offset) {
    const std::string text = token_text(answer_, token);
    tokens_.push_back(text);
    values_.push_back(logprob == nullptr ? Json() : Json(finite(logprob->logprob)));
    Json best = logprob == nullptr ? Json() : Json::object();
    for (const TokenLogprob& each : top) best[token_text(answer_, each.token)] = finite(each.logprob);
    if (logprob != nullptr && !top.empty()) best[text] = finite(logprob->logprob);
    tops_.push_back(std::move(best));
    offsets_.push_back(offset);
  }
  Json lists() const {
    if (tokens_.empty()) return nullptr;
    return {
        {"tokens", tokens_}, {"token_logprobs", values_}, {"top_logprobs", tops_}, {"text_offset", offsets_}};
  }

 private:
  const Answer& answer_;
  Json tokens_ = Json::array(), values_ = Json::array(), tops_ = Json::array(), offsets_ = Json::array();
};

class CompletionShape : public Shape {
 public:
  // `echoes`: of each prompt; none: they are not told. `logprobs`: those of the prompts are told with them.
  CompletionShape(bool usage, std::vector<Echo> echoes, bool logprobs)
      : usage_(usage), logprobs_(logprobs), echoes_(std::move(echoes)) {}

  Json whole(const Answer& answer) override {
    Json choices = Json::array();
    for (const Choice& choice : answer.choices) {
      const Echo* echo = echo_before(choice);
      LogprobLists lists(answer);
      if (echo != nullptr && logprobs_) add_prompt(lists, *echo, choice);
      std::size_t offset = echo == nullptr ? 0 : characters(echo->text);
      for (const Piece& piece : choice.pieces) {
        lists.add(piece.token, &piece.logprob, piece.top, offset);
        offset += characters(piece.text);
      }
      choices.push_back({{"index", choice.index},
                         {"text", echo == nullptr ? choice.text : echo->text + choice.text},
                         {"logprobs", lists.lists()},
                         {"finish_reason", finish_reason(choice)}});
    }
    Json body = head(answer);
    body["choices"] = std::move(choices);
    body["usage"] = usage_of(answer);
    body["timings"] = timings_of(answer);
    return body;
  }
  std::string begin(const Answer& answer) override {
    offsets_.assign(answer.choices.size(), 0);
    echoed_.assign(answer.choices.size(), 0);
    std::string lines;
    if (!logprobs_)
      for (const Choice& choice : answer.choices) lines += echo(answer, choice);
    return lines;
  }
  std::string piece(const Answer& answer, const Choice& choice, const Piece& piece) override {
    std::string lines = echo(answer, choice);
    std::size_t& offset = offsets_[static_cast<std::size_t>(choice.index)];
    LogprobLists lists(answer);
    if (piece.logprob.token >= 0) lists.add(piece.token, &piece.logprob, piece.top, offset);
    offset += characters(piece.text);
    return lines + chunk(answer, choice, piece.text, lists.lists(), {});
  }
  std::string finished(const Answer& answer, const Choice& choice) override {
    return echo(answer, choice) + chunk(answer, choice, "", {}, finish_reason(choice));
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
  const Echo* echo_before(const Choice& choice) const {
    return echoes_.empty() ? nullptr : &echoes_[static_cast<std::size_t>(choice.prompt)];
  }
  // An answer that was cut off early knows the log-probabilities of a part of its prompt.
  static void add_prompt(LogprobLists& lists, const Echo& echo, const Choice& choice) {
    lists.add(echo.tokens.front(), nullptr, {}, 0);
    for (std::size_t i = 0; i < choice.prompt_logprobs.size(); ++i) {
      const PromptLogprob& each = choice.prompt_logprobs[i];
      lists.add(each.logprob.token, &each.logprob, each.top, echo.offsets[i + 1]);
    }
  }
  // The chunk with the prompt, where it is due and was not told yet.
  std::string echo(const Answer& answer, const Choice& choice) {
    const auto i = static_cast<std::size_t>(choice.index);
    const Echo* echo = echo_before(choice);
    if (echo == nullptr || std::exchange(echoed_[i], 1) != 0) return "";
    offsets_[i] = characters(echo->text);
    LogprobLists lists(answer);
    if (logprobs_) add_prompt(lists, *echo, choice);
    return chunk(answer, choice, echo->text, lists.lists(), {});
  }
  static std::string chunk(const Answer& answer, const Choice& choice, const std::string& text,
                           const Json& logprobs, const Json& finish) {
    Json body = head(answer);
    body["choices"] = Json::array(
        {{{"index", choice.index}, {"text", text}, {"logprobs", logprobs}, {"finish_reason", finish}}});
    return event_line(body);
  }

  const bool usage_, logprobs_;
  const std::vector<Echo> echoes_;
  std::vector<std::size_t> offsets_;  // characters of text so far, by choice
  std::vector<std::uint8_t> echoed_;  // by choice
};

// A prompt is a text, ids, or a list of either.
std::vector<Tokens> read_prompts(const ModelText& text, const Fields& fields) {
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
  std::vector<Tokens> all;
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

// The prompt for what stands between two texts. Throws ApiError where the model has no tokens for that.
Tokens fill_in_prompt(const ModelText& text, const std::string& before, const std::string& after) {
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
  Tokens ids;
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

// The field's 0 has the prompt read only, for its log-probabilities.
void read_completion_tokens(const Fields& fields, bool prompt_logprobs, Request& request) {
  request.max_tokens = 16;  // as OpenAI's
  const auto most = fields.integer("max_tokens", -1, 1 << 30);
  if (most && *most == 0 && prompt_logprobs)
    request.max_tokens = 0;
  else
    read_max_tokens(fields, "max_tokens", request);
}

Generation completion(const ModelText& text, const PromptLimits& limits, const Json& body) {
  const Fields fields(body);
  Generation generation;
  Request& request = generation.request;
  if (const auto top = fields.integer("logprobs", 0, 20)) request.logprobs = static_cast<int>(*top);
  const bool echo = fields.boolean("echo").value_or(false);
  request.prompt_logprobs = echo && request.logprobs >= 0;
  read_completion_tokens(fields, request.prompt_logprobs, request);
  generation.prompts = read_prompts(text, fields);
  if (const auto suffix = fields.text("suffix"); suffix && !suffix->empty()) {
    if (generation.prompts.size() != 1 || !fields.find("prompt")->is_string())
      fail_field("suffix", "expected one prompt that is a text beside it");
    if (echo) fail_field("suffix", "expected no echo beside it");
    generation.prompts = {fill_in_prompt(text, *fields.text("prompt"), *suffix)};
  } else {
    cut_prompts(text, fields, limits, generation);
  }
  read_sampling(fields, request);
  read_stop(fields, "stop", request);
  read_constraint(fields, generation);
  read_delivery(fields, generation, false);
  std::vector<Echo> echoes;
  if (echo)
    for (const Tokens& prompt : generation.prompts) {
      if (prompt.empty()) fail_field("prompt", "expected at least one token, found none");
      echoes.push_back(echo_of(text.tokenizer(), prompt));
    }
  generation.shape =
      std::make_unique<CompletionShape>(usage_wanted(fields), std::move(echoes), request.prompt_logprobs);
  return generation;
}

}  // namespace

void add_completion_routes(std::vector<Route>& routes) {
  constexpr ErrorStyle style = ErrorStyle::openai;
  routes.push_back({"POST", "/v1/completions", style, false,
                    [](Service& s, const ExchangePtr& e) { s.generate(e, style, completion); }});
}

}  // namespace rf
