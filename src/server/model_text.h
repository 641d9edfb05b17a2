// ModelText: what a model makes of texts, without running it: tokens, and prompts of conversations. It lives
// in the process that serves, where it outlives the engine.
#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "chat/chat_template.h"
#include "chat/dialect.h"
#include "chat/template_needs.h"
#include "gguf/gguf.h"
#include "text/tokenizer.h"

namespace rf {

// The chat template that the file has, or the one that its special tokens suggest; and how a model with such
// a template writes calls and reasoning.
std::string template_source(const Gguf& file, const Tokenizer& tokenizer);
Dialect dialect_of(const std::string& template_source, const Tokenizer& tokenizer);

// Immutable: any number of threads may use one.
class ModelText {
 public:
  explicit ModelText(const std::string& path);  // throws Error naming the file

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const Gguf& file() const { return file_; }
  const std::string& family() const { return family_; }
  const std::string& template_source() const { return source_; }

  // How it writes reasoning and calls, and which special tokens its replies must show for that.
  const Dialect& dialect() const { return dialect_; }
  const std::vector<std::int32_t>& shown_tokens() const { return shown_tokens_; }

  // The text that the model's template makes. Throws Error where it refuses the messages.
  // Messages are in OpenAI's form, and given to the template as it needs them.
  std::string render(nlohmann::ordered_json messages, nlohmann::ordered_json tools,
                     nlohmann::ordered_json variables, bool add_generation_prompt = true) const;
  // The ids of such a text: BOS is added where the vocabulary asks for it and the template has not written
  // it.
  std::vector<std::int32_t> encode_prompt(const std::string& text) const;
  // The ids of a query and a document, as a model that ranks reads them: in the file's template for that, or
  // as a pair.
  std::vector<std::int32_t> encode_pair(const std::string& query, const std::string& document) const;

 private:
  Gguf file_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::string family_, source_;
  ChatTemplate template_;
  TemplateNeeds needs_;
  Dialect dialect_;
  std::vector<std::int32_t> shown_tokens_;
};

}  // namespace rf
