#include "chat/chat_template.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <vector>

#include "base/error.h"
#include "chat/jinja/render.h"
#include "chat/jinja/template.h"

namespace rf {
namespace {

using Json = nlohmann::ordered_json;

std::tm clock_time(const std::optional<std::string>& now) {
  std::time_t seconds = std::time(nullptr);
  std::tm t{};
  if (!now) {
    ::localtime_r(&seconds, &t);
    return t;
  }
  const int fields = std::sscanf(now->c_str(), "%d-%d-%d%*1[T ]%d:%d:%d", &t.tm_year, &t.tm_mon, &t.tm_mday,
                                 &t.tm_hour, &t.tm_min, &t.tm_sec);
  if ((fields != 3 && fields < 5) || t.tm_year < 1 || t.tm_year > 9999 || t.tm_mon < 1 || t.tm_mon > 12 ||
      t.tm_mday < 1 || t.tm_mday > 31)
    fail("time: found '{}', expected YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS", *now);
  t.tm_year -= 1900;
  t.tm_mon -= 1;
  ::timegm(&t);  // fills in the day of the week and of the year
  return t;
}

}  // namespace

ChatTemplate::ChatTemplate(std::string source) : template_(std::make_unique<jinja::Template>(source)) {}
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

std::string ChatTemplate::render(const ChatTemplateInput& input) const {
  if (!input.variables.is_null() && !input.variables.is_object())
    fail("chat template variables: found {}, expected an object", input.variables.type_name());
  const std::tm now = clock_time(input.now);
  const Json none, bos = input.bos, eos = input.eos, prompt = input.add_generation_prompt;
  std::vector<jinja::Template::Variable> variables = {
      {"messages", &input.messages}, {"add_generation_prompt", &prompt},
      {"bos_token", &bos},           {"eos_token", &eos},
      {"tools", &input.tools},       {"documents", &none}};
  if (input.variables.is_object())
    for (const auto& [name, value] : input.variables.items()) variables.emplace_back(name, &value);
  try {
    return template_->render(variables, now);
  } catch (const jinja::Refusal&) {
    throw;
  } catch (const Error&) {
    // Some templates only know tools and documents that are given or undefined, and fail on None.
    const std::size_t nulls = std::erase_if(variables, [](const auto& v) {
      return (v.first == "tools" || v.first == "documents") && v.second->is_null();
    });
    if (nulls == 0) throw;
    return template_->render(variables, now);
  }
}

}  // namespace rf
