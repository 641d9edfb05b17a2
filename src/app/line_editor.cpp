#include "app/line_editor.h"

#include <histedit.h>
#include <langinfo.h>
#include <unistd.h>

#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string_view>

namespace rf {
namespace {

constexpr int history_lines = 1000;
constexpr std::string_view quotes = "\"\"\"";
constexpr char prompt_escape = '\1';  // encloses bytes of the prompt that take no room on the screen

volatile std::sig_atomic_t interrupted = 0;

// While it lives Ctrl-C ends the read that is going on instead of the program.
class InterruptGuard {
 public:
  InterruptGuard() {
    interrupted = 0;
    struct sigaction action{};
    action.sa_handler = [](int) { interrupted = 1; };
    ::sigaction(SIGINT, &action, &before_);  // no SA_RESTART: the read must return
  }
  ~InterruptGuard() { ::sigaction(SIGINT, &before_, nullptr); }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  struct sigaction before_{};
};

// libedit decodes keys by the locale; text here is UTF-8 whatever the environment says.
void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
}

// Terminals that know bracketed paste enclose pasted text in ESC[200~ and ESC[201~ while it is on.
void bracketed_paste(bool on) {
  std::fputs(on ? "\x1b[?2004h" : "\x1b[?2004l", stdout);
  std::fflush(stdout);
}

std::string without_line_end(std::string line) {
  if (line.ends_with('\n')) line.pop_back();
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace

LineEditor::LineEditor(std::string history_file) : history_file_(std::move(history_file)) {
  if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0) return;
  use_utf8();
  editor_ = ::el_init("rocmforge", stdin, stdout, stderr);
  if (editor_ == nullptr) return;
  HistEvent event;
  history_ = ::history_init();
  ::history(history_, &event, H_SETSIZE, history_lines);
  ::history(history_, &event, H_SETUNIQUE, 1);
  if (!history_file_.empty()) ::history(history_, &event, H_LOAD, history_file_.c_str());

  ::el_set(editor_, EL_CLIENTDATA, this);
  ::el_set(
      editor_, EL_PROMPT_ESC,
      +[](EditLine* editor) -> char* {
        LineEditor* self = nullptr;
        ::el_get(editor, EL_CLIENTDATA, &self);
        return self->prompt_.data();
      },
      prompt_escape);
  ::el_set(editor_, EL_EDITOR, "emacs");
  ::el_set(editor_, EL_SIGNAL, 0);
  ::el_set(editor_, EL_HIST, ::history, history_);
  // The wide form keeps these literals; the narrow one would keep copies that libedit never frees.
  ::el_wset(editor_, EL_ADDFN, L"rf-paste", L"Insert pasted text", &LineEditor::paste);
  static constexpr const char* keys[][2] = {
      {"\\e[200~", "rf-paste"},      {"\\e[1~", "ed-move-to-beg"}, {"\\e[4~", "ed-move-to-end"},
      {"\\e[H", "ed-move-to-beg"},   {"\\e[F", "ed-move-to-end"},  {"\\e[3~", "ed-delete-next-char"},
      {"\\e[1;5C", "em-next-word"},  {"\\e[1;5D", "ed-prev-word"}, {"^R", "em-inc-search-prev"},
      {"^W", "ed-delete-prev-word"},
  };
  for (const auto& [key, command] : keys) ::el_set(editor_, EL_BIND, key, command, nullptr);
}

LineEditor::~LineEditor() {
  if (editor_ == nullptr) return;
  HistEvent event;
  if (!history_file_.empty()) ::history(history_, &event, H_SAVE, history_file_.c_str());
  ::el_end(editor_);
  ::history_end(history_);
}

unsigned char LineEditor::paste(editline* editor, int) {
  constexpr std::wstring_view end = L"\x1b[201~";
  std::wstring text;
  wchar_t c = 0;
  while (!text.ends_with(end) && ::el_wgetc(editor, &c) == 1) text += c == L'\r' ? L'\n' : c;
  if (text.ends_with(end)) text.resize(text.size() - end.size());
  return ::el_winsertstr(editor, text.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
}

Line LineEditor::edited_line(const std::string& prompt) {
  prompt_ = prompt;
  const InterruptGuard guard;
  bracketed_paste(true);
  int size = 0;
  const char* line = ::el_gets(editor_, &size);
  bracketed_paste(false);
  if (interrupted != 0) {
    ::el_reset(editor_);
    std::fputs("^C\n", stdout);
    return {Line::Kind::interrupted, ""};
  }
  if (line == nullptr || size <= 0) {
    std::fputc('\n', stdout);
    return {Line::Kind::end, ""};
  }
  Line out{Line::Kind::text, without_line_end({line, static_cast<std::size_t>(size)})};
  HistEvent event;
  if (!out.text.empty()) ::history(history_, &event, H_ENTER, out.text.c_str());
  return out;
}

Line LineEditor::physical_line(const std::string& prompt) {
  if (editor_ != nullptr) return edited_line(prompt);
  std::string line;
  if (!std::getline(std::cin, line)) return {Line::Kind::end, ""};
  return {Line::Kind::text, without_line_end(std::move(line))};
}

Line LineEditor::read(const std::string& prompt) {
  constexpr const char* more = "... ";
  Line line = physical_line(prompt);
  if (line.kind != Line::Kind::text) return line;
  std::string& text = line.text;
  const bool quoted = text.starts_with(quotes);
  if (quoted) text.erase(0, quotes.size());
  while (quoted ? !text.ends_with(quotes) : text.ends_with('\\')) {
    Line next = physical_line(more);
    if (next.kind == Line::Kind::interrupted) return next;
    if (next.kind == Line::Kind::end) return line;
    if (!quoted) text.pop_back();
    text += '\n' + next.text;
  }
  if (quoted) {
    text.resize(text.size() - quotes.size());
    if (text.starts_with('\n')) text.erase(0, 1);  // the quotes may stand on lines of their own
    if (text.ends_with('\n')) text.pop_back();
  }
  return line;
}

}  // namespace rf
