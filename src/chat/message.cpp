#include "chat/message.h"

namespace rf {

nlohmann::ordered_json to_json(const Message& message) {
  nlohmann::ordered_json out = {{"role", "assistant"}, {"content", message.content}};
  if (!message.reasoning.empty()) out["reasoning_content"] = message.reasoning;
  for (const ToolCall& call : message.tool_calls)
    out["tool_calls"].push_back({{"id", call.id},
                                 {"type", "function"},
                                 {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  return out;
}

}  // namespace rf
