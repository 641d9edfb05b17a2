#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "app/answer.h"
#include "app/commands.h"
#include "app/constraint.h"
#include "app/conversation.h"
#include "app/file.h"
#include "app/interrupt.h"
#include "app/line_editor.h"
#include "app/load.h"
#include "app/message_printer.h"
#include "base/error.h"
#include "chat/message_parser.h"

namespace rf {
namespace {

constexpr const char* command_list =
    "/help          this text\n"
    "/reset         forget the conversation (the system message stays)\n"
    "/system TEXT   set the system message; without TEXT remove it\n"
    "/result TEXT   the result of a tool that the model has called\n"
    "/save FILE     write the conversation to FILE as JSON\n"
    "/load FILE     go on with a conversation written by /save\n"
    "/exit          leave (also Ctrl-D)\n"
    "Ctrl-C stops an answer. A line that ends in \\ goes on in the next one; \"\"\" begins and ends a longer "
    "text.\n";

// Where the lines typed in earlier chats are kept; "" where there is no home.
std::string history_file() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path folder;
  if (state != nullptr && *state == '/')
    folder = state;
  else if (home != nullptr && *home == '/')
    folder = std::filesystem::path(home) / ".local/state";
  else
    return "";
  std::error_code error;
  std::filesystem::create_directories(folder / "rocmforge", error);
  return error ? "" : folder / "rocmforge/chat_history";
}

class Chat {
 public:
  explicit Chat(const ChatOptions& options)
      : options_(options),
        engine_(load_engine(options.model, options.load)),
        conversation_(engine_->file(), engine_->tokenizer(), read_tools(options.answer)),
        shown_tokens_(shown_tokens(conversation_.dialect(), engine_->tokenizer())),
        constraints_(engine_->tokenizer()),
        styled_(::isatty(STDOUT_FILENO) == 1) {
    if (!options.system.empty()) conversation_.set_system(options.system);
  }

  void respond(const std::string& text) { respond_to(conversation_.ask(text)); }
  bool command(const std::string& line);  // false: the chat is over
  void greet() const {
    print(dim(fmt::format("{}, context {} tokens. /help lists the commands, /exit leaves.",
                          engine_->spec().name.empty() ? options_.model : for_terminal(engine_->spec().name),
                          engine_->context())) +
          "\n");
  }

 private:
  std::string dim(const std::string& text) const { return styled_ ? "\x1b[2m" + text + "\x1b[0m" : text; }
  void respond_to(std::vector<std::int32_t> prompt);
  void add_result(const std::string& text);
  static void print(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
  void print_status(const Answer& answer) const;

  const ChatOptions& options_;
  const std::unique_ptr<Engine> engine_;
  Conversation conversation_;
  const std::vector<std::int32_t> shown_tokens_;
  Constraints constraints_;
  const bool styled_;
};

void Chat::print_status(const Answer& answer) const {
  const int used = answer.prompt_tokens + static_cast<int>(answer.ids.size());
  if (styled_)
    print(
        dim(fmt::format("[{} tokens, {:.1f} tokens/s; prompt {} tokens, {} of them cached; context {} of {}]",
                        answer.ids.size(), answer.decode_rate(), answer.prompt_tokens, answer.prompt_cached,
                        used, engine_->context())) +
        "\n");
  if (answer.finish == Finish::length && used >= engine_->context())
    std::fputs("The context is full. /reset starts over; a larger --ctx makes room for more.\n", stderr);
}

void Chat::add_result(const std::string& text) {
  if (auto prompt = conversation_.result(text))
    respond_to(std::move(*prompt));
  else
    print(dim("Another call waits for its result.") + "\n");
}

void Chat::respond_to(std::vector<std::int32_t> prompt) {
  Request request;
  request.prompt = std::move(prompt);
  request.shown_tokens = shown_tokens_;
  if (static_cast<int>(request.prompt.size()) >= engine_->context()) {
    conversation_.take_back();
    fail(
        "the conversation would take {} tokens, and the context holds {}: /reset starts over, "
        "a larger --ctx makes room for more",
        request.prompt.size(), engine_->context());
  }
  request.sampling = options_.answer.sampling;
  request.stop = options_.answer.stop;
  request.max_tokens = options_.answer.max_tokens;
  request.constraint = constraint_of(options_.answer, constraints_);
  const Interruptible guard;
  MessageParser parser(conversation_.dialect(),
                       {.prompt = request.constraint ? std::string_view() : conversation_.prompt(),
                        .tools = conversation_.tools()});
  MessagePrinter printer(styled_, shows_reasoning(options_.answer));
  const Answer result = answer(
      *engine_, std::move(request), [&](std::string_view text) { printer.print(parser.feed(text)); },
      [&] { return guard.interrupted(); });
  printer.print(parser.finish());
  printer.finish();
  conversation_.answered(parser.message(), result.ids);
  print_status(result);
  // On a terminal Ctrl-C ends no more than the answer.
  if (guard.interrupted() && (interrupt_code() != 128 + SIGINT || ::isatty(STDIN_FILENO) == 0))
    throw Interrupted();
}

bool Chat::command(const std::string& line) {
  const std::size_t space = line.find_first_of(" \n");
  const std::string word = line.substr(0, space);
  const std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
  if ((word == "/save" || word == "/load") && rest.empty()) fail("{}: expected a file name after it", word);
  if (word == "/exit" || word == "/quit") return false;
  if (word == "/help") {
    print(command_list);
  } else if (word == "/reset") {
    conversation_.reset();
    print(dim("The conversation is forgotten.") + "\n");
  } else if (word == "/system") {
    conversation_.set_system(rest);
    print(dim(rest.empty() ? "No system message." : "The system message is set.") + "\n");
  } else if (word == "/result") {
    add_result(rest);
  } else if (word == "/save") {
    write_file(rest, to_text(conversation_.messages(), 2) + "\n");
    print(dim(fmt::format("{} messages written to {}.", conversation_.messages().size(), rest)) + "\n");
  } else if (word == "/load") {
    conversation_.set_messages(read_json_file(rest, "a conversation"));
    print(dim(fmt::format("{} messages read from {}.", conversation_.messages().size(), rest)) + "\n");
  } else {
    fail("{}: there is no such command; /help lists them", word);
  }
  return true;
}

}  // namespace

int chat(const ChatOptions& options) {
  Chat chat(options);
  if (::isatty(STDIN_FILENO) == 0) {
    chat.respond(read_file("-"));
    return 0;
  }
  LineEditor editor(history_file());
  chat.greet();
  while (true) {
    const Line line = editor.read("> ");
    if (line.kind == Line::Kind::end) return 0;
    if (line.kind == Line::Kind::interrupted || line.text.empty()) continue;
    try {
      if (!line.text.starts_with('/'))
        chat.respond(line.text);
      else if (!chat.command(line.text))
        return 0;
    } catch (const Error& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
  }
}

}  // namespace rf
