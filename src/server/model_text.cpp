#include "server/model_text.h"

#include "base/error.h"
#include "base/log.h"

namespace rf {
namespace {

constexpr const char* template_key = "tokenizer.chat_template";
constexpr const char* rank_template_key = "tokenizer.chat_template.rerank";

ChatTemplate parsed(const Gguf& file, const std::string& source) {
  try {
    return ChatTemplate(source);
  } catch (const Error& error) {
    fail("{}: {}: {}", file.path(), template_key, error.what());
  }
}

}  // namespace

std::string template_source(const Gguf& file, const Tokenizer& tokenizer) {
  if (file.has(template_key)) return file.get<std::string>(template_key);
  return default_chat_template([&](std::string_view token) { return tokenizer.find(token) >= 0; });
}

Dialect dialect_of(const std::string& source, const Tokenizer& tokenizer) {
  return Dialect::of(source, [&](std::string_view token) { return tokenizer.find(token) >= 0; });
}

ModelText::ModelText(const std::string& path)
    : file_(Gguf::open(path)),
      tokenizer_(Tokenizer::from(file_)),
      family_(file_.get<std::string>("general.architecture")),
      source_(rf::template_source(file_, *tokenizer_)),
      template_(parsed(file_, source_)),
      needs_(TemplateNeeds::of(template_, source_)),
      dialect_(dialect_of(source_, *tokenizer_)),
      shown_tokens_(rf::shown_tokens(dialect_, *tokenizer_)) {
  if (!file_.has(template_key))
    spdlog::warn("{}: has no chat template; using the one that its special tokens suggest", path);
}

std::string ModelText::render(nlohmann::ordered_json messages, nlohmann::ordered_json tools,
                              nlohmann::ordered_json variables, bool add_generation_prompt) const {
  ChatTemplateInput input;
  input.messages = adapted(std::move(messages), needs_);
  input.tools = std::move(tools);
  input.variables = std::move(variables);
  input.add_generation_prompt = add_generation_prompt;
  input.bos = tokenizer_->token_text(tokenizer_->bos());
  input.eos = tokenizer_->token_text(tokenizer_->eos());
  return template_.render(input);
}

std::vector<std::int32_t> ModelText::encode_prompt(const std::string& text) const {
  std::vector<std::int32_t> ids = tokenizer_->encode(text, {.add_special = false});
  const std::int32_t bos = tokenizer_->bos();
  if (tokenizer_->add_bos() && bos >= 0 && (ids.empty() || ids[0] != bos)) ids.insert(ids.begin(), bos);
  return ids;
}

std::vector<std::int32_t> ModelText::encode_pair(const std::string& query,
                                                 const std::string& document) const {
  if (!file_.has(rank_template_key)) return tokenizer_->encode_pair(query, document);
  std::string text;
  const auto source = file_.get<std::string>(rank_template_key);
  for (std::size_t at = 0; at < source.size();) {
    const std::string_view rest = std::string_view(source).substr(at);
    const bool is_query = rest.starts_with("{query}"), is_document = rest.starts_with("{document}");
    if (is_query) text += query;
    if (is_document) text += document;
    if (!is_query && !is_document) text += rest.front();
    at += is_query ? 7 : is_document ? 10 : 1;
  }
  return tokenizer_->encode(text, {.add_special = false});
}

}  // namespace rf
