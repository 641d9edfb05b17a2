// The template language as Jinja's and Python's documentation describe it.
#include <gtest/gtest.h>

#include "jinja.h"

namespace rf {
namespace {

using test::error;
using test::render;

struct Snippet {
  const char* source;
  const char* expected;
};

void check(std::initializer_list<Snippet> snippets) {
  const auto variables = nlohmann::ordered_json::parse(R"({
    "xs": [3, 1, 2], "d": {"b": 1, "a": [1, {"k": null}]}, "s": "wörld é", "none_value": null,
    "users": [{"name": "Bob", "age": 30}, {"name": "ann", "age": 25}, {"name": "Cid", "age": 30}]})");
  for (const auto& [source, expected] : snippets) EXPECT_EQ(render(source, variables), expected) << source;
}

TEST(JinjaLanguage, BlocksTakeTheirLineWithThem) {
  check({{"a\n  {% if true %}\nb\n  {% endif %}\nc\n", "a\nb\nc"},
         {"a\n  {%+ if true %}\nb{% endif +%}\nc", "a\n  b\nc"},
         {"a  {%- if true -%}  b  {%- endif -%}  c", "abc"},
         {"a\n  {{- 'x' -}}  \n b", "axb"},
         {"  {{ 'x' }}\n", "  x"},
         {"a\n  {# note #}\nb", "a\nb"},
         {"{% raw %}{{ x }}{% endraw %}", "{{ x }}"},
         {"a\r\nb\rc\n\n", "a\nb\nc\n"}});
}

TEST(JinjaLanguage, Literals) {
  check({{"{{ [1, 'a', none, true, 1.5] }}", "[1, 'a', None, True, 1.5]"},
         {"{{ (1,) }}{{ () }}{{ (1, 2) }}", "(1,)()(1, 2)"},
         {"{{ {'a': 1, 2: \"b'\"} }}", "{'a': 1, 2: \"b'\"}"},
         {"{{ 'a' 'b' \"\\x41\\u00e9\\n\" }}", "abAé\n"},
         {"{{ 0x1f }} {{ 1_000 }} {{ 1e3 }} {{ 1e-7 }} {{ 1e16 }} {{ 0.1 }}",
          "31 1000 1000.0 1e-07 1e+16 0.1"}});
}

TEST(JinjaLanguage, ArithmeticIsPythons) {
  check({{"{{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }}",
          "-4 2 3.5 3.0 1024 0.5"},
         {"{{ 2 + 3 * 4 ** 2 - 1 }} {{ -2 ** 2 }} {{ 'ab' * 2 }} {{ [1] + [2] }}", "49 4 abab [1, 2]"},
         {"{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ 'a' < 'b' }}", "True False True True"},
         {"{{ 1 ~ none ~ 'x' }} {{ 2 in xs }} {{ 5 not in xs }} {{ 'ö' in s }}", "1Nonex True True True"},
         {"{{ 0 or 'x' }} {{ 1 and 2 }} {{ not xs }} {{ 'a' if xs else 'b' }}", "x 2 False a"}});
}

TEST(JinjaLanguage, IntegersBeyond64BitsAreErrors) {
  EXPECT_NE(error("{{ 9223372036854775807 + 1 }}").find("64 bits"), std::string::npos);
  EXPECT_NE(error("{{ 10 ** 30 }}").find("64 bits"), std::string::npos);
  EXPECT_NE(error("{{ (-9223372036854775807 - 1) // -1 }}").find("64 bits"), std::string::npos);
  EXPECT_EQ(render("{{ (-9223372036854775807 - 1) % -1 }}"), "0");
}

TEST(JinjaLanguage, SubscriptsCountCharacters) {
  check({{"{{ s[1] }}{{ s[-1] }}|{{ s[:3] }}|{{ s[::-1] }}|{{ s|length }}", "öé|wör|é dlröw|7"},
         {"{{ xs[-1] }} {{ xs[1:] }} {{ xs[::2] }} {{ xs[9:] }} {{ xs.0 }}", "2 [1, 2] [3, 2] [] 3"},
         {"{{ d.a[1].k }} {{ d['a'][1]['k'] }} {{ d.get('q', 7) }}", "None None 7"}});
}

TEST(JinjaLanguage, UndefinedIsEmptyUntilItIsUsed) {
  check({{"[{{ nope }}][{{ d.nope }}][{{ xs[9] }}]", "[][][]"},
         {"{{ nope is defined }} {{ nope|default('d') }} {{ ''|default('d', true) }}", "False d d"},
         {"{% for x in nope %}x{% else %}none{% endfor %}", "none"}});
  EXPECT_NE(error("{{ nope.x }}").find("'nope' is undefined"), std::string::npos);
  EXPECT_NE(error("{{ d.nope.x }}", {{"d", {{"a", 1}}}}).find("'dict object' has no attribute 'nope'"),
            std::string::npos);
  EXPECT_NE(error("{{ nope + 1 }}"), "");
  EXPECT_NE(error("{{ nope|tojson }}"), "");
}

TEST(JinjaLanguage, LoopsKnowTheirPlace) {
  check({{"{% for x in xs %}{{ loop.index }}/{{ loop.length }}{{ loop.first }}{{ loop.last }}{{ "
          "loop.previtem }}"
          "{{ loop.nextitem }}{{ loop.cycle('a', 'b') }};{% endfor %}",
          "1/3TrueFalse1a;2/3FalseFalse32b;3/3FalseTrue1a;"},
         {"{% for x in xs if x > 1 %}{{ loop.index }}{{ x }}{{ loop.last }} {% endfor %}", "13False 22True "},
         {"{% for k, v in d.items() %}{{ k }}{% endfor %}", "ba"},
         {"{% for x in [1, 2, 3, 4] %}{% if x == 2 %}{% continue %}{% elif x == 4 %}{% break %}{% endif %}{{ "
          "x }}"
          "{% endfor %}",
          "13"},
         {"{% for x in [1, [2, [3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}{{ "
          "loop.depth }}"
          "{% endif %}{% endfor %}",
          "11(22(33))"}});
}

TEST(JinjaLanguage, ScopesEndWithTheirBlocks) {
  check({{"{% set x = 1 %}{% for i in xs %}{% set x = x + i %}{{ x }},{% endfor %}{{ x }}", "4,2,3,1"},
         {"{% set n = namespace(a=0) %}{% for i in xs %}{% set n.a = n.a + i %}{% endfor %}{{ n.a }}", "6"},
         {"{% if true %}{% set y = 5 %}{% endif %}{{ y }}", "5"},
         {"{% with a = 1 %}{{ a }}{% endwith %}{{ a }}|", "1|"},
         {"{% set t | upper %}a{{ 1 }}{% endset %}{{ t }}", "A1"},
         {"{% generation %}{% set q = 1 %}g{% endgeneration %}{{ q }}|", "g|"}});
}

TEST(JinjaLanguage, Macros) {
  check(
      {{"{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, c=4) }}", "121 124"},
       {"{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, x=2) }}", "(1,){'x': 2}"},
       {"{% macro m(a) %}<{{ caller(a) }}>{% endmacro %}{% call(x) m(3) %}b{{ x }}{% endcall %}", "<b3>"},
       {"{% macro f(n) %}{{ n if n < 2 else n ~ f(n - 1) }}{% endmacro %}{{ f(4) }}", "4321"},
       {"{% macro m() %}{{ late }}{% endmacro %}{% set late = 1 %}{{ m() }}", "1"},
       {"{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}", "12"}});
  EXPECT_NE(error("{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}"), "");
  EXPECT_NE(error("{% macro m(a) %}{% endmacro %}{{ m(b=2) }}"), "");
}

TEST(JinjaLanguage, MarkupEscapesWhatItMeets) {
  check({{"{{ '<'|safe + '<' }} {{ '<' ~ '<'|safe }} {{ '<\"'|e }}", "<&lt; << &lt;&#34;"},
         {"{{ ('<b>%s'|safe) % '<' }} {{ '<'|e|e }}", "<b>&lt; &lt;"}});
}

TEST(JinjaLanguage, ErrorsNameTheLine) {
  EXPECT_EQ(error("a\n{{ raise_exception('no ' ~ 1) }}"), "chat template, line 2: no 1");
  EXPECT_EQ(error("\n\n{% if %}"), "chat template, line 3: found '%}', expected an expression");
  EXPECT_EQ(error("{% for x in y %}"),
            "chat template, line 1: found the end of the template, expected 'endfor' or 'else'");
  EXPECT_EQ(error("\n{{ 1|nope }}"), "chat template, line 2: there is no filter 'nope'");
  EXPECT_EQ(error("{% nope %}"), "chat template, line 1: unknown statement 'nope'");
  EXPECT_EQ(error("{% break %}"), "chat template, line 1: 'break' outside of a loop");
}

}  // namespace
}  // namespace rf
