#include "chat/jinja/expression_parser.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "chat/jinja/number.h"

namespace rf::jinja {

NameId Tree::intern(std::string_view name) {
  const auto [it, fresh] = names.emplace(name, static_cast<NameId>(name_texts.size()));
  if (fresh) name_texts.push_back(constants.view(name));
  return it->second;
}

ExpressionParser::Nesting::Nesting(ExpressionParser& parser) : parser_(parser) {
  constexpr int max_depth = 150;
  if (++parser_.depth_ > max_depth) {
    --parser_.depth_;
    fail("line {}: nested more than {} deep", parser_.tokens_.current().line, max_depth);
  }
}

const Expr* ExpressionParser::expression() {
  const Nesting nesting(*this);
  const int line = tokens_.current().line;
  const Expr* value = or_expression();
  while (tokens_.skip_word("if")) {
    auto* node = make<Conditional>(line);
    node->then = value;
    node->test = or_expression();
    if (tokens_.skip_word("else")) node->otherwise = expression();
    value = node;
  }
  return value;
}

const Expr* ExpressionParser::or_expression() {
  const Expr* left = and_expression();
  while (tokens_.is_word("or")) {
    auto* node = make<Logic>(tokens_.next().line);
    node->left = left;
    node->right = and_expression();
    left = node;
  }
  return left;
}

const Expr* ExpressionParser::and_expression() {
  const Expr* left = not_expression();
  while (tokens_.is_word("and")) {
    auto* node = make<Logic>(tokens_.next().line);
    node->is_and = true;
    node->left = left;
    node->right = not_expression();
    left = node;
  }
  return left;
}

const Expr* ExpressionParser::not_expression() {
  if (!tokens_.is_word("not")) return comparison();
  const Nesting nesting(*this);
  auto* node = make<Unary>(tokens_.next().line);
  node->operand = not_expression();
  return node;
}

const Expr* ExpressionParser::comparison() {
  using Op = Compare::Op;
  static constexpr std::array<std::pair<std::string_view, Op>, 6> ops = {
      {{"==", Op::eq}, {"!=", Op::ne}, {"<", Op::lt}, {"<=", Op::le}, {">", Op::gt}, {">=", Op::ge}}};
  const int line = tokens_.current().line;
  const Expr* first = sum();
  std::vector<std::pair<Op, const Expr*>> rest;
  for (;;) {
    const Token& token = tokens_.current();
    const auto* found = std::find_if(ops.begin(), ops.end(), [&](const auto& o) {
      return token.type == Type::op && token.source == o.first;
    });
    Op op = Op::in;
    if (found != ops.end()) {
      op = found->second;
      tokens_.next();
    } else if (tokens_.is_word("not") && tokens_.look().type == Type::name && tokens_.look().source == "in") {
      op = Op::not_in;
      tokens_.next();
      tokens_.next();
    } else if (!tokens_.skip_word("in")) {
      break;
    }
    rest.emplace_back(op, sum());
  }
  if (rest.empty()) return first;
  auto* node = make<Compare>(line);
  node->first = first;
  node->rest = std::move(rest);
  return node;
}

const Expr* ExpressionParser::arithmetic(Binary op, int line, const Expr* left, const Expr* right) {
  auto* node = make<Arithmetic>(line);
  node->op = op;
  node->left = left;
  node->right = right;
  return node;
}

const Expr* ExpressionParser::sum() {
  const Expr* left = concatenation();
  while (tokens_.is_op("+") || tokens_.is_op("-")) {
    const Token& op = tokens_.next();
    left = arithmetic(op.source == "+" ? Binary::add : Binary::subtract, op.line, left, concatenation());
  }
  return left;
}

const Expr* ExpressionParser::concatenation() {
  const int line = tokens_.current().line;
  const Expr* first = product();
  if (!tokens_.is_op("~")) return first;
  auto* node = make<Concat>(line);
  node->parts.push_back(first);
  node->escape = escape_ == Escape::yes ? Escape::yes : Escape::no;  // as jinja does
  while (tokens_.skip_op("~")) node->parts.push_back(product());
  return node;
}

const Expr* ExpressionParser::product() {
  const Expr* left = power();
  while (tokens_.is_op("*") || tokens_.is_op("/") || tokens_.is_op("//") || tokens_.is_op("%")) {
    const Token& op = tokens_.next();
    const Binary kind = op.source == "*"    ? Binary::multiply
                        : op.source == "/"  ? Binary::divide
                        : op.source == "//" ? Binary::floor_divide
                                            : Binary::modulo;
    left = arithmetic(kind, op.line, left, power());
  }
  return left;
}

const Expr* ExpressionParser::power() {
  const Expr* left = unary();
  while (tokens_.is_op("**")) {
    const int line = tokens_.next().line;
    left = arithmetic(Binary::power, line, left, unary());
  }
  return left;
}

const Expr* ExpressionParser::unary(bool with_filter) {
  const Nesting nesting(*this);
  const Expr* node = nullptr;
  if (tokens_.is_op("-") || tokens_.is_op("+")) {
    const Token& op = tokens_.next();
    auto* sign = make<Unary>(op.line);
    sign->op = op.source == "-" ? Unary::Op::negative : Unary::Op::positive;
    sign->operand = unary(false);
    node = sign;
  } else {
    node = primary();
  }
  node = postfix(node);
  return with_filter ? filters_and_tests(node) : node;
}

const Expr* ExpressionParser::primary() {
  switch (tokens_.current().type) {
    case Type::name:
      return word();
    case Type::string:
      return string();
    case Type::integer:
    case Type::real:
      return number();
    default:
      break;
  }
  if (tokens_.is_op("[")) return list_display();
  if (tokens_.is_op("{")) return dict_display();
  if (!tokens_.skip_op("(")) tokens_.unexpected("an expression");
  const Expr* inner = tuple(true, true);
  tokens_.expect_op(")");
  return inner;
}

const Expr* ExpressionParser::word() {
  const Token& token = tokens_.next();
  const std::string_view s = token.source;
  const auto literal = [&](const Value& value) {
    auto* node = make<Literal>(token.line);
    node->value = value;
    return node;
  };
  if (s == "true" || s == "True") return literal(Value(true));
  if (s == "false" || s == "False") return literal(Value(false));
  if (s == "none" || s == "None") return literal(Value::none());
  auto* node = make<Name>(token.line);
  node->id = tree_.intern(s);
  node->name = tree_.name_texts[node->id];
  reads_.caller += static_cast<int>(node->id == tree_.caller);
  reads_.kwargs += static_cast<int>(node->id == tree_.kwargs);
  reads_.varargs += static_cast<int>(node->id == tree_.varargs);
  reads_.loop += static_cast<int>(node->id == tree_.loop);
  return node;
}

const Expr* ExpressionParser::string() {
  auto* node = make<Literal>(tokens_.current().line);
  std::string text;
  while (tokens_.is(Type::string)) text += tokens_.next().text;
  node->value = Value(tree_.constants.text(std::move(text)));
  return node;
}

const Expr* ExpressionParser::number() {
  const Token& token = tokens_.next();
  auto* node = make<Literal>(token.line);
  if (token.type == Type::real) {
    node->value = Value(parse_float(token.text).value_or(0));
    return node;
  }
  const auto value = parse_int(token.text, 0);
  if (!value) fail("line {}: {} is not an integer", token.line, token.text);
  node->value = Value(*value);
  return node;
}

// `recursive` ends the iterable of a loop, but only where an expression could end.
bool ExpressionParser::at_tuple_end(bool after_comma) const {
  return tokens_.is(Type::variable_end) || tokens_.is(Type::block_end) || tokens_.is_op(")") ||
         (after_comma && tokens_.is_word("recursive"));
}

const Expr* ExpressionParser::tuple(bool conditional, bool explicit_parentheses) {
  const int line = tokens_.current().line;
  std::vector<const Expr*> items;
  bool is_tuple = false;
  while (!at_tuple_end(is_tuple)) {
    items.push_back(conditional ? expression() : or_expression());
    if (!tokens_.skip_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return items[0];
  if (!is_tuple && !explicit_parentheses) tokens_.unexpected("an expression");
  auto* node = make<Sequence>(line);
  node->kind = Kind::tuple;
  node->items = std::move(items);
  return node;
}

const Expr* ExpressionParser::list_display() {
  auto* node = make<Sequence>(tokens_.next().line);
  while (!tokens_.is_op("]")) {
    node->items.push_back(expression());
    if (!tokens_.skip_op(",")) break;
  }
  tokens_.expect_op("]");
  return node;
}

const Expr* ExpressionParser::dict_display() {
  auto* node = make<DictDisplay>(tokens_.next().line);
  while (!tokens_.is_op("}")) {
    const Expr* key = expression();
    tokens_.expect_op(":");
    node->entries.emplace_back(key, expression());
    if (!tokens_.skip_op(",")) break;
  }
  tokens_.expect_op("}");
  return node;
}

}  // namespace rf::jinja
