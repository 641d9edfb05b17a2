// LineEditor: lines typed at a terminal, with editing and history; plain lines where there is no terminal.
#pragma once
#include <string>

struct editline;
struct history;

namespace rf {

struct Line {
  // interrupted: Ctrl-C; end: Ctrl-D on an empty line, or the end of the input
  enum class Kind { text, interrupted, end };
  Kind kind;
  std::string text;  // without the final newline
};

// One at a time: it owns standard input while it lives.
class LineEditor {
 public:
  // Lines are remembered in `history_file` across runs; "" keeps them in memory only.
  explicit LineEditor(std::string history_file);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // One message. A line that ends in a backslash goes on in the next one; text that starts with """ goes on,
  // newlines and all, to the line that ends with """; pasted text stays in one piece. Not a terminal: no
  // prompt is written.
  Line read(const std::string& prompt);

 private:
  Line physical_line(const std::string& prompt);
  Line edited_line(const std::string& prompt);
  static unsigned char paste(editline* editor, int);

  std::string history_file_, prompt_;
  editline* editor_ = nullptr;  // null where input or output is not a terminal
  struct history* history_ = nullptr;
};

}  // namespace rf
