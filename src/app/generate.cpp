#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/answer.h"
#include "app/commands.h"
#include "app/constraint.h"
#include "app/conversation.h"
#include "app/file.h"
#include "app/interrupt.h"
#include "app/load.h"

namespace rf {
namespace {

std::vector<std::int32_t> prompt_of(const GenerateOptions& options, const Engine& engine) {
  if (options.tokens) return *options.tokens;
  if (!options.chat) return engine.tokenizer().encode(options.prompt);
  return Conversation(engine.file(), engine.tokenizer()).ask(options.prompt);
}

void print_json(const Answer& answer) {
  const nlohmann::ordered_json result = {
      {"ids", answer.ids},
      {"text", answer.text},
      {"finish", finish_name(answer.finish)},
      {"prompt_tokens", answer.prompt_tokens},
      {"prompt_seconds", answer.prompt_seconds},
      {"prompt_tokens_per_second", answer.prompt_rate()},
      {"decode_seconds", answer.decode_seconds},
      {"decode_tokens_per_second", answer.decode_rate()},
  };
  std::puts(to_text(result).c_str());
}

}  // namespace

int generate(const GenerateOptions& options) {
  const std::unique_ptr<Engine> engine = load_engine(options.model, options.load);
  Request request;
  request.prompt = prompt_of(options, *engine);
  request.sampling = options.answer.sampling;
  request.stop = options.answer.stop;
  request.max_tokens = options.answer.max_tokens;
  request.ignore_eos = options.ignore_eos;
  Constraints constraints(engine->tokenizer());
  request.constraint = constraint_of(options.answer, constraints);

  const Interruptible guard;
  const auto show = [&](std::string_view text) {
    if (options.json) return;
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  const Answer result = answer(*engine, std::move(request), show, [&] { return guard.interrupted(); });
  if (options.json)
    print_json(result);
  else
    std::putchar('\n');
  return result.finish == Finish::cancelled ? 130 : 0;
}

}  // namespace rf
