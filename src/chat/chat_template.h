// ChatTemplate: a model's Jinja chat template, parsed once and rendered for each conversation.
#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace rf {

namespace jinja {
class Template;
}

struct ChatTemplateInput {
  nlohmann::ordered_json messages;  // array of {"role": ..., "content": ..., ...}
  nlohmann::ordered_json tools;     // array of tool definitions, or null
  nlohmann::ordered_json
      variables;  // object of further template variables, or null; they win over the others
  bool add_generation_prompt = true;
  std::string bos, eos;            // the texts of these tokens
  std::optional<std::string> now;  // what strftime_now shows, as YYYY-MM-DD[THH:MM:SS]; else the local clock
};

// Behaves as jinja2 set up by Hugging Face transformers does (sandboxed, trim_blocks, lstrip_blocks, loop
// controls, the `generation` tag, tojson without HTML escapes, raise_exception, strftime_now).
class ChatTemplate {
 public:
  explicit ChatTemplate(std::string source);  // throws Error on a syntax error, naming the line
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  // The prompt. Throws Error naming the template's line: a fault of the template, a message the template
  // refuses (its own words follow the line), or a limit on time, memory or depth. Threads may render at the
  // same time.
  std::string render(const ChatTemplateInput& input) const;

 private:
  std::unique_ptr<const jinja::Template> template_;
};

// The source of a template for a model that brings none: the family's own format, recognised by the special
// tokens in the vocabulary (has_token says whether a text is one), and ChatML where nothing is recognised.
std::string default_chat_template(const std::function<bool(std::string_view token)>& has_token);

}  // namespace rf
