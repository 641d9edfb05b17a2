// JsonScanner: finds the end of a JSON value in a text that comes in pieces. It looks at brackets and quotes
// only, so that what is not quite JSON passes as well.
#pragma once
#include <cstddef>
#include <string_view>

namespace rf::dialect {

class JsonScanner {
 public:
  // How many bytes of `text`, the next of the text, belong to the value. An object, list or string is done
  // with its last byte, anything else before the next , : ] } or white space.
  std::size_t scan(std::string_view text) {
    std::size_t at = 0;
    for (; at < text.size() && !done_; ++at)
      if (!take(text[at])) break;
    return at;
  }
  bool done() const { return done_; }
  bool in_string() const { return in_string_; }
  bool end() { return done_ = done_ || scalar_; }  // no more text comes: whether the value is whole

 private:
  bool take(char c) {
    if (in_string_) {
      if (escaped_)
        escaped_ = false;
      else if (c == '\\')
        escaped_ = true;
      else if (c == '"')
        in_string_ = false, done_ = depth_ == 0;
      return true;
    }
    if (depth_ == 0 && scalar_ && std::string_view(",:]} \t\r\n").find(c) != std::string_view::npos) {
      done_ = true;
      return false;
    }
    if (c == '"') {
      if (scalar_) return !(done_ = true);
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if ((c == '}' || c == ']') && depth_ > 0) {
      done_ = --depth_ == 0;
    } else if (depth_ == 0) {
      scalar_ = true;
    }
    return true;
  }

  std::size_t depth_ = 0;
  bool in_string_ = false, escaped_ = false, scalar_ = false, done_ = false;
};

}  // namespace rf::dialect
