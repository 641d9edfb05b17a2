#include "app/answer.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"

namespace rf {

double Answer::prompt_rate() const {
  return prompt_seconds > 0 ? (prompt_tokens - prompt_cached) / prompt_seconds : 0;
}
double Answer::decode_rate() const {
  return decode_seconds > 0 ? static_cast<double>(ids.size() - 1) / decode_seconds : 0;
}

Answer answer(Engine& engine, Request request, const std::function<void(std::string_view)>& on_text,
              const std::function<bool()>& interrupted) {
  Answer out;
  out.prompt_tokens = static_cast<int>(request.prompt.size());
  const std::int64_t start = now_ns();
  std::int64_t first = 0, last = 0;
  const std::uint64_t id = engine.submit(std::move(request));
  std::vector<Event> events;
  bool cancelled = false;
  while (out.finish == Finish::unfinished && engine.step(events)) {
    for (const Event& event : events) {
      if (event.request != id) continue;
      out.prompt_cached = std::max(out.prompt_cached, event.prompt_cached);
      if (event.token >= 0) {
        last = now_ns();
        if (out.ids.empty()) first = last;
        out.ids.push_back(event.token);
      }
      out.text += event.text;
      if (!event.text.empty()) on_text(event.text);
      if (event.finish != Finish::unfinished) out.finish = event.finish;
    }
    events.clear();
    if (!cancelled && out.finish == Finish::unfinished && interrupted()) {
      engine.cancel(id);
      cancelled = true;
    }
  }
  if (first != 0) {
    out.prompt_seconds = static_cast<double>(first - start) * 1e-9;
    out.decode_seconds = static_cast<double>(last - first) * 1e-9;
  }
  return out;
}

}  // namespace rf
