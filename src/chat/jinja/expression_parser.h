// ExpressionParser: the part of the parser that reads expressions; the statements' part stands on it.
#pragma once
#include <memory>
#include <utility>

#include "chat/jinja/ast.h"
#include "chat/jinja/token_stream.h"

namespace rf::jinja {

class ExpressionParser {
 protected:
  using Type = Token::Type;

  ExpressionParser(Tree& tree, TokenStream tokens) : tree_(tree), tokens_(std::move(tokens)) {}

  template <class T>
  T* make(int line) {
    auto node = std::make_unique<T>();
    node->line = line;
    T* made = node.get();
    tree_.nodes.push_back(std::move(node));
    return made;
  }
  const Text* constant(std::string_view s) { return tree_.constants.view(s); }

  const Expr* expression();  // with an inline `if`
  const Expr* or_expression();
  // One expression, or several with commas as a tuple; without `conditional`, no inline `if`.
  const Expr* tuple(bool conditional, bool explicit_parentheses = false);
  const Filter* filter_chain(const Expr* input, bool inline_start);
  // Each nesting level of the source; throws where there are too many for the stack.
  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser);
    ~Nesting() { --parser_.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    ExpressionParser& parser_;
  };

  Tree& tree_;
  TokenStream tokens_;
  // How often each of these names was read so far: tells whether a body uses it.
  struct {
    int caller = 0, kwargs = 0, varargs = 0, loop = 0;
  } reads_;
  Escape escape_ = Escape::no;  // of the autoescape block around

 private:
  const Expr* and_expression();
  const Expr* not_expression();
  const Expr* comparison();
  const Expr* sum();
  const Expr* concatenation();
  const Expr* product();
  const Expr* power();
  const Expr* unary(bool with_filter = true);
  const Expr* primary();
  const Expr* word();
  const Expr* string();
  const Expr* number();
  const Expr* list_display();
  const Expr* dict_display();
  const Expr* postfix(const Expr* node);
  const Expr* attribute(const Expr* object);
  const Expr* subscript(const Expr* object);
  const Expr* call(const Expr* callee);
  const Expr* filters_and_tests(const Expr* node);
  const Expr* test(const Expr* operand);
  Arguments arguments();
  std::string dotted_name();
  bool at_tuple_end(bool after_comma) const;
  const Expr* arithmetic(Binary op, int line, const Expr* left, const Expr* right);

  int depth_ = 0;
};

}  // namespace rf::jinja
