// The part of ExpressionParser that reads what follows a value: attributes, subscripts, calls, filters and
// tests.
#include "base/error.h"
#include "chat/jinja/builtin.h"
#include "chat/jinja/expression_parser.h"

namespace rf::jinja {

const Expr* ExpressionParser::postfix(const Expr* node) {
  for (;;) {
    if (tokens_.is_op("."))
      node = attribute(node);
    else if (tokens_.is_op("["))
      node = subscript(node);
    else if (tokens_.is_op("("))
      node = call(node);
    else
      return node;
  }
}

const Expr* ExpressionParser::attribute(const Expr* object) {
  const int line = tokens_.next().line;
  if (tokens_.is(Type::integer)) {
    auto* node = make<Subscript>(line);
    node->object = object;
    node->key = number();
    return node;
  }
  auto* node = make<Attribute>(line);
  node->object = object;
  node->name = constant(tokens_.expect(Type::name, "a name or a number").source);
  return node;
}

const Expr* ExpressionParser::subscript(const Expr* object) {
  const int line = tokens_.next().line;
  const auto part = [&]() -> const Expr* {
    return tokens_.is_op(":") || tokens_.is_op("]") ? nullptr : expression();
  };
  const Expr* first = part();
  if (tokens_.skip_op(":")) {
    auto* node = make<Slice>(line);
    node->object = object;
    node->from = first;
    node->to = part();
    if (tokens_.skip_op(":")) node->step = part();
    tokens_.expect_op("]");
    return node;
  }
  if (first == nullptr) tokens_.unexpected("an expression");
  auto* node = make<Subscript>(line);
  node->object = object;
  node->key = first;
  if (tokens_.is_op(",")) {
    auto* keys = make<Sequence>(line);
    keys->kind = Kind::tuple;
    keys->items.push_back(first);
    while (tokens_.skip_op(",") && !tokens_.is_op("]")) keys->items.push_back(expression());
    node->key = keys;
  }
  tokens_.expect_op("]");
  return node;
}

const Expr* ExpressionParser::call(const Expr* callee) {
  auto* node = make<Call>(tokens_.current().line);
  node->callee = callee;
  node->arguments = arguments();
  return node;
}

Arguments ExpressionParser::arguments() {
  Arguments a;
  tokens_.expect_op("(");
  while (!tokens_.is_op(")")) {
    const int line = tokens_.current().line;
    const bool named =
        tokens_.is(Type::name) && tokens_.look().type == Type::op && tokens_.look().source == "=";
    if ((a.star_star != nullptr) ||
        (!named && !a.named.empty() && !tokens_.is_op("*") && !tokens_.is_op("**")))
      fail("line {}: a positional argument follows a named one", line);
    if (tokens_.skip_op("*")) {
      if (a.star != nullptr) fail("line {}: two *arguments in one call", line);
      a.star = expression();
    } else if (tokens_.skip_op("**")) {
      a.star_star = expression();
    } else if (named) {
      const Text* name = constant(tokens_.next().source);
      for (const auto& [other, value] : a.named)
        if (other->bytes == name->bytes) fail("line {}: the argument '{}' is given twice", line, name->bytes);
      tokens_.next();
      a.named.emplace_back(name, expression());
    } else {
      if (a.star != nullptr) fail("line {}: a positional argument follows *arguments", line);
      a.positional.push_back(expression());
    }
    if (!tokens_.skip_op(",")) break;
  }
  tokens_.expect_op(")");
  return a;
}

std::string ExpressionParser::dotted_name() {
  std::string name(tokens_.expect(Type::name, "a name").source);
  while (tokens_.skip_op(".")) name.append(".").append(tokens_.expect(Type::name, "a name").source);
  return name;
}

const Filter* ExpressionParser::filter_chain(const Expr* input, bool inline_start) {
  const Filter* last = nullptr;
  while (inline_start || tokens_.skip_op("|")) {
    inline_start = false;
    auto* node = make<Filter>(tokens_.current().line);
    node->input = last == nullptr ? input : last;
    node->name = tree_.constants.text(dotted_name());
    node->builtin = find_filter(node->name->bytes);
    if (tokens_.is_op("(")) node->arguments = arguments();
    last = node;
  }
  return last;
}

const Expr* ExpressionParser::filters_and_tests(const Expr* node) {
  for (;;) {
    if (tokens_.is_op("|"))
      node = filter_chain(node, false);
    else if (tokens_.is_word("is"))
      node = test(node);
    else if (tokens_.is_op("("))
      node = call(node);
    else
      return node;
  }
}

const Expr* ExpressionParser::test(const Expr* operand) {
  auto* node = make<Test>(tokens_.next().line);
  const bool negated = tokens_.skip_word("not");
  node->operand = operand;
  node->name = tree_.constants.text(dotted_name());
  node->builtin = find_test(node->name->bytes);
  const bool literal = tokens_.is(Type::string) || tokens_.is(Type::integer) || tokens_.is(Type::real) ||
                       tokens_.is_op("[") || tokens_.is_op("{");
  if (tokens_.is_op("(")) {
    node->arguments = arguments();
  } else if (literal || (tokens_.is(Type::name) && !tokens_.is_any_word({"else", "or", "and"}))) {
    if (tokens_.is_word("is")) fail("line {}: tests cannot be chained with `is`", node->line);
    node->arguments.positional.push_back(postfix(primary()));
  }
  if (!negated) return node;
  auto* inverse = make<Unary>(node->line);
  inverse->operand = node;
  return inverse;
}

}  // namespace rf::jinja
