#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/conversation.h"
#include "app/file.h"
#include "app/load.h"
#include "base/error.h"
#include "gguf/gguf.h"

namespace rf {
namespace {

// A template and the special tokens that its model has.
struct Source {
  std::string text, path, bos, eos;
};

Source source_of(const TemplateOptions& options) {
  if (!options.file.empty()) return {read_file(options.file), options.file, "", ""};
  const Gguf file = Gguf::open(find_model(options.model));
  const std::unique_ptr<Tokenizer> tokenizer = Tokenizer::from(file);
  return {chat_template_source(file, *tokenizer), file.path(),
          std::string(tokenizer->token_text(tokenizer->bos())),
          std::string(tokenizer->token_text(tokenizer->eos()))};
}

}  // namespace

int render_template(const TemplateOptions& options) {
  const Source source = source_of(options);
  ChatTemplateInput input;
  input.messages = read_json_file(options.messages, "messages");
  if (!input.messages.is_array()) fail("{}: expected a JSON array of messages", options.messages);
  if (!options.tools.empty()) input.tools = read_json_file(options.tools, "tools");
  if (!options.variables.empty()) input.variables = read_json_file(options.variables, "variables");
  if (!input.variables.is_null() && !input.variables.is_object())
    fail("{}: expected a JSON object of template variables", options.variables);
  input.add_generation_prompt = !options.no_generation_prompt;
  input.bos = options.bos.value_or(source.bos);
  input.eos = options.eos.value_or(source.eos);
  input.now = options.now;
  std::string text;
  try {
    text = ChatTemplate(source.text).render(input);
  } catch (const Error& error) {
    fail("{}: {}", source.path, error.what());
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

}  // namespace rf
