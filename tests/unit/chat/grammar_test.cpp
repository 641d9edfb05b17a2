// GBNF and regular expressions: what they allow, what they refuse, and masks against feeding bytes.
#include "grammar.h"

#include "base/error.h"
#include "chat/grammar/gbnf.h"
#include "chat/grammar/regex.h"

namespace rf {
namespace {

using namespace test;

std::shared_ptr<const TokenGrammar> gbnf(std::string_view text, const Trie& trie = byte_trie()) {
  return TokenGrammar::make(grammar::parse_gbnf(text), trie);
}

std::shared_ptr<const TokenGrammar> regex(std::string_view pattern, const Trie& trie = byte_trie()) {
  Rules rules;
  rules.root = rules.add_rule("root", true);
  rules.define(rules.root, grammar::parse_regex(rules, pattern, grammar::utf8_character, false));
  return TokenGrammar::make(rules, trie);
}

template <class Make>
std::string refusal(const Make& make) {
  try {
    make();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

struct Case {
  const char* grammar;
  std::vector<std::string> yes, no;
};

void check(const Case& c, const TokenGrammar& grammar) {
  for (const std::string& text : c.yes) EXPECT_TRUE(allows(grammar, text)) << c.grammar << " on " << text;
  for (const std::string& text : c.no) EXPECT_FALSE(allows(grammar, text)) << c.grammar << " on " << text;
}

TEST(Gbnf, Allows) {
  const std::vector<Case> cases = {
      {"root ::= \"a\" | \"bc\"?", {"a", "bc", ""}, {"b", "ab", "abc"}},
      {"root ::= [a-c]+ [^a-c\\n]*", {"abc", "a\xC3\xA9", "cx-y"}, {"", "x", "ax\n", "axa"}},
      {"root ::= (\"x\" [0-9]{2,3}){2}", {"x12x345", "x00x00"}, {"x1x22", "x12", "x1234x12"}},
      {"root ::= [\\u00e9-\\u00eb] . [\\x41-\\x43] # note\n",
       {"\xC3\xA9zB",
        "\xC3\xAA\xF0\x9F\x98\x80"
        "A"},
       {"ezB"}},
      {"root ::= \"[\" root \"]\" | ws item\nitem ::= \"i\"\nws ::= ([ \\t] ws)?",
       {"i", "[[ i]]", "[\t i]"},
       {"[i", "[]"}},
      {"root ::= a\n  | b\na ::= (\n \"p\" |\n \"q\" )\nb ::= \"\\\"\" \"\\\\\"", {"p", "q", "\"\\"}, {"r"}},
      {"root ::= [a]{20,30}",
       {std::string(20, 'a'), std::string(30, 'a')},
       {std::string(19, 'a'), std::string(31, 'a')}},
      {"root ::= (\"ab\" | \"c\"){20,} \"x\"",
       {std::string(20, 'c') + "x", std::string(60, 'c') + "abx"},
       {"x", std::string(19, 'c') + "x"}},
      {"root ::= s s\ns ::= \"(\" s \")\" | \"\"", {"", "()", "(())()"}, {"()()()", "("}},
      {"root ::= a \"1\" | b \"2\"\na ::= \"(\" a \")\" | \"\"\nb ::= \"(\" b \")\" | \"\"",
       {"(())1", "2"},
       {"(()1"}},
      {"root ::= [a-z]{0,100}[a-z]{0,100}", {"", "abc"}, {"A"}},
      {"root ::= [^\"]", {"\xF0\x9F\x98\x80", "x"}, {"\"", "\xED\xA0\x80", "\x80"}},
  };
  for (const Case& c : cases) check(c, *gbnf(c.grammar));
}

TEST(Gbnf, Refuses) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"root ::= \"a", "line 1"},
      {"root ::= a", "\"a\" is not defined"},
      {"a ::= \"x\"", "\"root\""},
      {"root ::= root \"x\" | \"y\"", "\"root\": begins with itself"},
      {"root ::= e root \"x\" | \"y\"\ne ::= \"z\"?", "begins with itself"},
      {"root ::= \"x\" root", "matches no text"},
      {"root ::= \"x\"\nroot ::= \"y\"", "defined twice"},
      {"root ::= [z-a]", "range"},
      {"root ::= \"\\q\"", "escape"},
      {"root = \"x\"", "::="},
      {"root ::= \"a\"{3,2}", "at least 3"},
      {"root ::= (\"a\"", "a )"},
      {"root ::= \"a\"{99999999}", "1000000"},
      {"root ::= (((((\"ab\"*){200}){200}){200}){200}){200}", "too large"},
      {"root ::= ([ab]* \"a\" [ab] [ab] [ab] [ab] [ab] [ab] [ab] [ab] [ab] [ab] [ab] [ab] [ab] [ab] [ab] "
       "[ab] [ab] [ab] [ab])",
       "too complex"},
  };
  for (const auto& [text, part] : cases) {
    const std::string message = refusal([&] { gbnf(text); });
    EXPECT_NE(message.find(part), std::string::npos) << text << ": " << message;
  }
}

TEST(Regex, Allows) {
  const std::vector<Case> cases = {
      {"(\\d{3})-\\d{4}|none", {"555-1234", "none"}, {"555-123", "nonee", ""}},
      {"^[^\\W_]+?\\s?\\x41\\u00e9\\.$", {"ab A\xC3\xA9.", "zA\xC3\xA9."}, {"_A\xC3\xA9.", "zA\xC3\xA9x"}},
      {"(?:a|b)*c", {"c", "ababc"}, {"abab"}},
      {"[\\]a-]+", {"]a-"}, {"b"}},
      {".{1,3}", {"a", "\xE2\x82\xAC\xE2\x82\xAC"}, {"", "a\n", "abcd"}},
      {"[A-Z][a-z]{2,40}", {"Abc", "A" + std::string(40, 'x')}, {"Ab", "A" + std::string(41, 'x')}},
  };
  for (const Case& c : cases) check(c, *regex(c.grammar));
  for (const char* bad : {"a(?=b)", "\\bx", "(a)\\1", "a**", "(", ")", "[", "a{2,1}", "x^y", "\\p{L}", "*"})
    EXPECT_NE(refusal([&] { regex(bad); }), "") << bad;
}

// A grammar whose loops and rules are nullable, ambiguous and nested in each other.
std::string random_gbnf(std::mt19937& random) {
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  std::string text;
  for (int rule = 0; rule < 4; ++rule) {
    text += rule == 0 ? "root ::= " : "r" + std::to_string(rule) + " ::= ";
    for (int branch = 0, count = 1 + pick(3); branch < count; ++branch) {
      text += branch == 0 ? "" : " | ";
      for (int item = 0, items = 1 + pick(3); item < items; ++item) {
        static const char* const parts[] = {"\"a\"",  "[a-c]", "\"ab\"",
                                            "[^a\"]", "\"]\"", "(\"x\" | \"y\" \"z\"?)"};
        static const char* const more[] = {"", "", "", "?", "*", "+", "{2}", "{0,3}", "{9,12}"};
        // Only rules further down, or itself after something: no rule begins with itself.
        const bool call = rule < 3 && pick(3) == 0;
        text += call ? "r" + std::to_string(rule + 1 + pick(3 - rule)) : parts[pick(6)];
        text += more[pick(call ? 8 : 9)];
        text += ' ';
      }
    }
    if (rule > 0) text += " | \"(\" r" + std::to_string(rule) + " \")\"";
    text += '\n';
  }
  return text;
}

TEST(Grammar, MasksAreWhatTheBytesSay) {
  std::mt19937 random(7);
  const Trie trie = byte_trie(
      {"ab", "abc", "a\"", "]]", "(((", "xx", "yz", "((a", "))", "cab", "aaaa", "\xC3\xA9", "\xE2\x82"});
  for (int i = 0; i < 60; ++i) {
    const std::string text = random_gbnf(random);
    SCOPED_TRACE(text);
    random_text(*gbnf(text, trie), static_cast<unsigned>(i), 30, 1);
  }
}

TEST(Grammar, RealVocabularies) {
  const char* json = R"(root ::= object
value ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20})";
  for (const char* name : {"ggml-vocab-gpt-2.gguf", "ggml-vocab-llama-spm.gguf", "qwen3-vocab.gguf"}) {
    const Trie trie = golden_trie(name);
    if (trie == nullptr) continue;
    SCOPED_TRACE(name);
    for (unsigned seed = 0; seed < 3; ++seed) random_text(*gbnf(json, trie), seed, 60, 23);
    for (unsigned seed = 0; seed < 2; ++seed)
      random_text(*regex("[^x]{20,40}(ab|[0-9]+)?\"", trie), seed, 30, 9);
  }
}

TEST(Grammar, VocabulariesWithoutSomeBytes) {
  std::vector<std::string> pieces{"a", "b", "[", "]", "xy", "[a", ""};
  const auto trie = std::make_shared<const TokenTrie>(pieces, std::vector<std::int32_t>{6});
  random_text(*gbnf("root ::= \"[\" (root | [axyb] | \"xyz\")* \"]\"", trie), 1, 20, 1);
  EXPECT_NE(refusal([&] { gbnf("root ::= \"ax\"", trie); }), "");
  // Without an ending token a text that cannot go on has ended.
  const auto endless =
      std::make_shared<const TokenTrie>(std::vector<std::string>{"a", "b"}, std::vector<std::int32_t>{});
  const auto grammar = gbnf("root ::= \"ab\"", endless);
  const auto matcher = grammar->start();
  EXPECT_TRUE(matcher->accept(0));
  EXPECT_FALSE(matcher->accept(0));
  EXPECT_FALSE(matcher->ended());
  EXPECT_TRUE(matcher->accept(1));
  EXPECT_TRUE(matcher->ended());
}

// Stacks that double with each bracket, counts in counts, deep nesting: none may hang or run out of memory.
TEST(Grammar, HostileGrammarsStayBounded) {
  const Trie trie = byte_trie({"((", "((((((((", "aa", "aaaaaaaa"});
  for (const char* text :
       {"root ::= a | b\na ::= \"(\" root \")\" \"x\"\nb ::= \"(\" root \")\" \"y\" | \"z\"",
        "root ::= [a]{0,500} [a]{0,500} [a]{0,500} \"b\"", "root ::= (\"a\" | \"aa\" | \"aaa\")* \"b\"",
        "root ::= ([a]{0,30} \"b\"?){0,300} \"c\""}) {
    SCOPED_TRACE(text);
    const auto grammar = gbnf(text, trie);
    const auto matcher = grammar->start();
    std::vector<std::uint64_t> mask((static_cast<std::size_t>(trie->vocab_size()) + 63) / 64);
    for (int i = 0; i < 400; ++i) {
      matcher->mask(mask);
      ASSERT_TRUE(std::ranges::any_of(mask, [](std::uint64_t word) { return word != 0; }));
      if (!matcher->accept('(')) matcher->accept('a');
    }
  }
}

}  // namespace
}  // namespace rf
