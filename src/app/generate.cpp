#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/answer.h"
#include "app/commands.h"
#include "app/constraint.h"
#include "app/conversation.h"
#include "app/file.h"
#include "app/interrupt.h"
#include "app/load.h"
#include "app/message_printer.h"
#include "chat/message_parser.h"

namespace rf {
namespace {

void print_json(const Answer& answer, const Message* message) {
  nlohmann::ordered_json result = {
      {"ids", answer.ids},
      {"text", answer.text},
      {"finish", finish_name(answer.finish)},
      {"prompt_tokens", answer.prompt_tokens},
      {"prompt_seconds", answer.prompt_seconds},
      {"prompt_tokens_per_second", answer.prompt_rate()},
      {"decode_seconds", answer.decode_seconds},
      {"decode_tokens_per_second", answer.decode_rate()},
  };
  if (message != nullptr) result["message"] = to_json(*message);
  std::puts(to_text(result).c_str());
}

int exit_code(const Answer& answer) {
  return answer.finish == Finish::cancelled ? interrupt_code() : 0;
}

// Goes on with a text.
int generate_text(const GenerateOptions& options, Engine& engine, Request request) {
  if (!options.json) engine.tokenizer();  // its error, where there is no vocabulary: ids only show in JSON
  request.prompt = options.tokens ? *options.tokens : engine.tokenizer().encode(options.prompt);
  const Interruptible guard;
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  const auto show = [&](std::string_view text) {
    if (options.json) return;
    const std::string shown = terminal ? for_terminal(text) : std::string(text);
    std::fwrite(shown.data(), 1, shown.size(), stdout);
    std::fflush(stdout);
  };
  const Answer result = answer(engine, std::move(request), show, [&] { return guard.interrupted(); });
  if (options.json)
    print_json(result, nullptr);
  else
    std::putchar('\n');
  return exit_code(result);
}

// Answers a user's message.
int generate_message(const GenerateOptions& options, Engine& engine, Request request) {
  Conversation conversation(engine.file(), engine.tokenizer(), read_tools(options.answer));
  request.prompt = conversation.ask(options.prompt);
  request.shown_tokens = shown_tokens(conversation.dialect(), engine.tokenizer());
  MessageParser parser(conversation.dialect(),
                       {.prompt = request.constraint ? std::string_view() : conversation.prompt(),
                        .tools = conversation.tools()});
  MessagePrinter printer(::isatty(STDOUT_FILENO) == 1, shows_reasoning(options.answer));
  const Interruptible guard;
  const auto show = [&](std::string_view text) {
    const auto deltas = parser.feed(text);
    if (!options.json) printer.print(deltas);
  };
  const Answer result = answer(engine, std::move(request), show, [&] { return guard.interrupted(); });
  const auto deltas = parser.finish();
  if (options.json) {
    print_json(result, &parser.message());
  } else {
    printer.print(deltas);
    printer.finish();
  }
  return exit_code(result);
}

}  // namespace

int generate(const GenerateOptions& options) {
  const std::unique_ptr<Engine> engine = load_engine(options.model, options.load);
  Request request;
  request.sampling = options.answer.sampling;
  request.stop = options.answer.stop;
  request.max_tokens = options.answer.max_tokens;
  request.ignore_eos = options.ignore_eos;
  std::optional<Constraints> constraints;
  if (asks_for_form(options.answer))
    request.constraint = constraint_of(options.answer, constraints.emplace(engine->tokenizer()));
  return options.chat ? generate_message(options, *engine, std::move(request))
                      : generate_text(options, *engine, std::move(request));
}

}  // namespace rf
