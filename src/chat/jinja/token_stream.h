// TokenStream: the parser's place in the tokens.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "chat/jinja/lexer.h"

namespace rf::jinja {

class TokenStream {
 public:
  using Type = Token::Type;

  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& next() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool is(Type type) const { return current().type == type; }
  bool is_op(std::string_view op) const { return is(Type::op) && current().source == op; }
  bool is_word(std::string_view word) const { return is(Type::name) && current().source == word; }
  bool is_any_word(std::initializer_list<std::string_view> words) const {
    for (const std::string_view word : words)
      if (is_word(word)) return true;
    return false;
  }
  bool skip_op(std::string_view op) { return is_op(op) && (next(), true); }
  bool skip_word(std::string_view word) { return is_word(word) && (next(), true); }

  void expect_op(std::string_view op) {
    if (!skip_op(op)) unexpected(fmt::format("'{}'", op));
  }
  void expect_word(std::string_view word) {
    if (!skip_word(word)) unexpected(fmt::format("'{}'", word));
  }
  const Token& expect(Type type, std::string_view what) {
    if (!is(type)) unexpected(what);
    return next();
  }
  [[noreturn]] void unexpected(std::string_view expected) const {
    const std::string found =
        is(Type::end) ? "the end of the template" : fmt::format("'{}'", current().source);
    fail("line {}: found {}, expected {}", current().line, found.substr(0, 60), expected);
  }

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

}  // namespace rf::jinja
