// The input is the source of a chat template, parsed and rendered over one conversation under tight limits:
// any outcome but an Error or a prompt is a defect, and so is a run of more than 50 ms.
#include "chat/jinja/template.h"

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using Json = nlohmann::ordered_json;
  using namespace rf::jinja;
  static const Json messages = Json::parse(R"([
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Wie heißt du? <b>\"x\"</b>"}]},
    {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function",
      "function": {"name": "f", "arguments": {"a": 1, "b": [true, null, 1.5e-7], "c": {"d": "é\n"}}}}]},
    {"role": "tool", "name": "f", "content": "3"}])");
  static const Json tools = Json::parse(R"([{"type": "function", "function": {"name": "f", "description": "d",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}}])");
  static const Json yes = true, bos = "<s>";
  static const std::vector<Template::Variable> variables = {
      {"messages", &messages}, {"tools", &tools}, {"add_generation_prompt", &yes}, {"bos_token", &bos}};
  constexpr Limits limits{.steps = 20'000, .bytes = 1 << 20, .output = 1 << 19, .depth = 300};
  std::tm now{};
  now.tm_mday = 1;
  try {
    const Template chat(std::string_view(reinterpret_cast<const char*>(data), size));
    chat.render(variables, now, limits);
  } catch (const rf::Error&) {
  }
  return 0;
}
