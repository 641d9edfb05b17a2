// Answer: one request run to its end on an engine that has nothing else to do.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"

namespace rf {

struct Answer {
  std::vector<std::int32_t> ids;  // generated, an end-of-text token included where the engine gives it
  std::string text;
  Finish finish = Finish::unfinished;
  int prompt_tokens = 0, prompt_cached = 0;
  double prompt_seconds = 0;  // until the first token
  double decode_seconds = 0;  // from the first token to the last

  double prompt_rate() const;  // tokens/s, cached ones not counted; 0 where there is nothing to divide
  double decode_rate() const;  // tokens/s
};

// `on_text` gets the text as it comes. `interrupted` is asked between steps; once true the request is
// cancelled and its answer ends there. Throws Error as Engine::submit does.
Answer answer(Engine& engine, Request request, const std::function<void(std::string_view)>& on_text,
              const std::function<bool()>& interrupted);

}  // namespace rf
