#include "chat/jinja/parser.h"

#include <functional>

#include "base/error.h"
#include "chat/jinja/expression_parser.h"
#include "chat/jinja/lexer.h"

namespace rf::jinja {
namespace {

class Parser : ExpressionParser {
 public:
  explicit Parser(Tree& tree) : ExpressionParser(tree, TokenStream(tokenize(tree.source))) {}

  void run() {
    tree_.body = body({});
    if (!tokens_.is(Type::end)) tokens_.unexpected("a statement");
  }

 private:
  // Statements up to a block that starts with one of `ends` (its word is next), or to the end of the
  // template.
  Body body(std::initializer_list<std::string_view> ends) {
    const Nesting nesting(*this);
    Body out;
    while (!tokens_.is(Type::end)) {
      const int line = tokens_.current().line;
      if (tokens_.is(Type::data)) {
        auto* node = make<Data>(line);
        node->text = tokens_.next().source;
        out.push_back(node);
      } else if (tokens_.is(Type::variable_begin)) {
        tokens_.next();
        auto* node = make<Output>(line);
        node->value = tuple(true);
        node->escape = escape_of(node->value);
        tokens_.expect(Type::variable_end, "'}}'");
        out.push_back(node);
      } else {
        tokens_.expect(Type::block_begin, "a statement");
        if (tokens_.is_any_word(ends)) return out;
        statement(out);
        tokens_.expect(Type::block_end, "'%}'");
      }
    }
    if (ends.size() > 0) {
      std::string expected;
      for (const std::string_view end : ends)
        expected += fmt::format("{}'{}'", expected.empty() ? "" : " or ", end);
      tokens_.unexpected(expected);
    }
    return out;
  }

  // The body of a statement whose head was just read.
  Body block(std::initializer_list<std::string_view> ends) {
    tokens_.skip_op(":");
    tokens_.expect(Type::block_end, "'%}'");
    return body(ends);
  }
  Body whole_block(std::string_view end) {
    Body out = block({end});
    tokens_.next();
    return out;
  }

  void statement(Body& out) {
    const Token& word = tokens_.expect(Type::name, "the name of a statement");
    const int line = word.line;
    const std::string_view s = word.source;
    if (s == "if")
      out.push_back(if_statement(line));
    else if (s == "for")
      out.push_back(for_statement(line));
    else if (s == "set")
      out.push_back(set_statement(line));
    else if (s == "macro")
      out.push_back(macro(line));
    else if (s == "call")
      out.push_back(call_block(line));
    else if (s == "filter")
      out.push_back(filter_block(line));
    else if (s == "with")
      out.push_back(with(line));
    else if (s == "generation")
      out.push_back(scope(line, "endgeneration"));
    else if (s == "block")
      out.push_back(named_block(line));
    else if (s == "autoescape")
      out.push_back(autoescape(line));
    else if (s == "print")
      print(line, out);
    else if (s == "break" || s == "continue")
      out.push_back(loop_control(line, s == "break"));
    else if (s == "include" || s == "import" || s == "from" || s == "extends")
      out.push_back(other_template(word));
    else
      fail("line {}: unknown statement '{}'", line, s);
  }

  const Stmt* if_statement(int line) {
    auto* node = make<If>(line);
    for (;;) {
      const Expr* test = tuple(false);
      node->branches.emplace_back(test, block({"elif", "else", "endif"}));
      const std::string_view end = tokens_.next().source;
      if (end == "elif") continue;
      if (end == "else") node->otherwise = whole_block("endif");
      return node;
    }
  }

  const Stmt* for_statement(int line) {
    auto* node = make<For>(line);
    node->target = target(false);
    if (node->target.parts.empty() && node->target.id == tree_.loop)
      fail("line {}: can't assign to the special variable 'loop'", line);
    node->escape = escape_;
    tokens_.expect_word("in");
    node->iterable = tuple(false);
    if (tokens_.skip_word("if")) node->test = expression();
    node->recursive = tokens_.skip_word("recursive");
    const int reads = reads_.loop;
    ++loops_;
    node->body = block({"endfor", "else"});
    --loops_;
    node->uses_loop = node->recursive || reads_.loop > reads;
    if (tokens_.next().source == "else") node->otherwise = whole_block("endfor");
    return node;
  }

  const Stmt* loop_control(int line, bool is_break) {
    if (loops_ == 0) fail("line {}: '{}' outside of a loop", line, is_break ? "break" : "continue");
    auto* node = make<LoopControl>(line);
    node->flow = is_break ? Flow::break_loop : Flow::continue_loop;
    return node;
  }

  const Stmt* set_statement(int line) {
    const Target to = target(true);
    if (tokens_.skip_op("=")) {
      auto* node = make<Set>(line);
      node->target = to;
      node->value = tuple(true);
      return node;
    }
    auto* node = make<SetBlock>(line);
    node->target = to;
    node->filter = filter_chain(nullptr, false);
    node->body = whole_block("endset");
    return node;
  }

  // One target, or several with commas to unpack into.
  Target target(bool with_namespace) {
    Target first = single_target(with_namespace);
    if (!tokens_.is_op(",")) return first;
    Target all;
    all.parts.push_back(std::move(first));
    while (tokens_.skip_op(",") && (tokens_.is(Type::name) || tokens_.is_op("(")) && !tokens_.is_word("in"))
      all.parts.push_back(single_target(with_namespace));
    return all;
  }

  Target single_target(bool with_namespace) {
    const Nesting nesting(*this);
    if (tokens_.skip_op("(")) {
      Target inner = target(with_namespace);
      tokens_.expect_op(")");
      return inner;
    }
    Target t = name();
    if (with_namespace && tokens_.skip_op("."))
      t.attribute = constant(tokens_.expect(Type::name, "an attribute's name").source);
    return t;
  }

  Target name() {
    const Token& token = tokens_.expect(Type::name, "a name to assign to");
    for (const std::string_view literal : {"true", "false", "none", "True", "False", "None"})
      if (token.source == literal) fail("line {}: can't assign to '{}'", token.line, literal);
    Target t;
    t.id = tree_.intern(token.source);
    t.name = tree_.name_texts[t.id];
    return t;
  }

  void signature(MacroCode& code) {
    tokens_.expect_op("(");
    while (!tokens_.is_op(")")) {
      const int line = tokens_.current().line;
      const Target t = name();
      Parameter p{.id = t.id, .name = t.name};
      if (tokens_.skip_op("="))
        p.fallback = expression();
      else if (!code.parameters.empty() && code.parameters.back().fallback != nullptr)
        fail("line {}: parameter '{}' without a default follows one with a default", line, p.name->bytes);
      code.parameters.push_back(p);
      if (!tokens_.skip_op(",")) break;
    }
    tokens_.expect_op(")");
  }

  // The body, which is a loop's body no longer, and which of the special names it reads.
  void macro_body(MacroCode& code, std::string_view end) {
    const auto before = reads_;
    const int loops = std::exchange(loops_, 0);
    code.body = whole_block(end);
    loops_ = loops;
    const auto takes = [&](NameId id) {
      for (const Parameter& p : code.parameters)
        if (p.id == id) return true;
      return false;
    };
    code.uses_caller = reads_.caller > before.caller && !takes(tree_.caller);
    code.uses_kwargs = reads_.kwargs > before.kwargs && !takes(tree_.kwargs);
    code.uses_varargs = reads_.varargs > before.varargs && !takes(tree_.varargs);
  }

  const Stmt* macro(int line) {
    auto* node = make<MacroDefinition>(line);
    const Target t = name();
    node->id = t.id;
    node->code.name = t.name;
    signature(node->code);
    macro_body(node->code, "endmacro");
    return node;
  }

  const Stmt* call_block(int line) {
    auto* node = make<CallBlock>(line);
    node->code.name = constant("caller");
    if (tokens_.is_op("(")) signature(node->code);
    node->call = dynamic_cast<const Call*>(expression());
    if (node->call == nullptr) fail("line {}: 'call' must be followed by a call", line);
    macro_body(node->code, "endcall");
    return node;
  }

  const Stmt* filter_block(int line) {
    auto* node = make<FilterBlock>(line);
    node->filter = filter_chain(nullptr, true);
    node->escape = escape_;
    node->body = whole_block("endfilter");
    return node;
  }

  const Stmt* with(int line) {
    auto* node = make<With>(line);
    while (!tokens_.is(Type::block_end)) {
      Target to = single_target(false);
      tokens_.expect_op("=");
      node->variables.emplace_back(std::move(to), expression());
      if (!tokens_.skip_op(",")) break;
    }
    node->body = whole_block("endwith");
    return node;
  }

  const Stmt* scope(int line, std::string_view end) {
    auto* node = make<With>(line);
    node->body = whole_block(end);
    return node;
  }

  const Stmt* named_block(int line) {
    auto* node = make<Block>(line);
    node->name = constant(tokens_.expect(Type::name, "a block's name").source);
    const std::string_view name = node->name->bytes;
    if (!tree_.blocks.emplace(name, node).second) fail("line {}: block '{}' defined twice", line, name);
    node->scoped = tokens_.skip_word("scoped");
    node->required = tokens_.skip_word("required");
    const Escape outside = std::exchange(escape_, Escape::no);
    const int loops = std::exchange(loops_, 0);
    node->body = whole_block("endblock");
    escape_ = outside;
    loops_ = loops;
    tokens_.skip_word(name);
    return node;
  }

  const Stmt* autoescape(int line) {
    auto* node = make<Autoescape>(line);
    node->enabled = expression();
    const auto* literal = dynamic_cast<const Literal*>(node->enabled);
    const bool known = literal != nullptr && literal->value.is(Kind::boolean);
    const Escape inside = !known ? Escape::ask : literal->value.boolean() ? Escape::yes : Escape::no;
    const Escape outside = std::exchange(escape_, inside);
    node->body = whole_block("endautoescape");
    escape_ = outside;
    return node;
  }

  // Its words mean nothing here: it fails where it runs, as jinja does without a loader.
  const Stmt* other_template(const Token& word) {
    auto* node = make<OtherTemplate>(word.line);
    node->word = word.source;
    while (!tokens_.is(Type::block_end) && !tokens_.is(Type::end)) tokens_.next();
    return node;
  }

  // jinja writes literals out before it knows a condition that is none.
  Escape escape_of(const Expr* value) const {
    const bool literal = dynamic_cast<const Literal*>(value) != nullptr;
    return literal && escape_ == Escape::ask ? Escape::no : escape_;
  }

  void print(int line, Body& out) {
    do {
      auto* node = make<Output>(line);
      node->value = expression();
      node->escape = escape_of(node->value);
      out.push_back(node);
    } while (tokens_.skip_op(","));
  }

  int loops_ = 0;
};

}  // namespace

std::unique_ptr<const Tree> parse(std::string_view source) {
  constexpr std::size_t max_source = 1 << 20;
  if (source.size() > max_source)
    fail("a template of {} bytes, expected at most {}", source.size(), max_source);
  auto tree = std::make_unique<Tree>();
  tree->source = normal_newlines(source);
  tree->caller = tree->intern("caller");
  tree->kwargs = tree->intern("kwargs");
  tree->varargs = tree->intern("varargs");
  tree->loop = tree->intern("loop");
  Parser(*tree).run();
  return tree;
}

}  // namespace rf::jinja
