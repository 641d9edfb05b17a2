// Filters, tests, methods and functions, as Jinja's and Python's documentation describe them.
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
    "xs": [3, 1, 2], "names": ["bob", "Alice", "alice"], "d": {"b": 1, "A": 2.0},
    "users": [{"name": "Bob", "age": 30, "at": {"city": "X"}}, {"name": "ann", "age": 25, "at": {"city": "y"}},
              {"name": "Cid", "age": 30, "at": {"city": "x"}}]})");
  for (const auto& [source, expected] : snippets) EXPECT_EQ(render(source, variables), expected) << source;
}

TEST(JinjaBuiltins, Sorting) {
  check({{"{{ xs|sort }} {{ xs|sort(reverse=true) }} {{ names|sort }}",
          "[1, 2, 3] [3, 2, 1] ['Alice', 'alice', 'bob']"},
         {"{{ names|sort(case_sensitive=true)|join }} {{ names|unique|list }}",
          "Alicealicebob ['bob', 'Alice']"},
         {"{{ users|sort(attribute='age,name')|map(attribute='name')|join(',') }}", "ann,Bob,Cid"},
         {"{{ d|dictsort }} {{ d|dictsort(by='value', reverse=true) }}",
          "[('A', 2.0), ('b', 1)] [('A', 2.0), ('b', 1)]"},
         {"{% for city, them in users|groupby('at.city') %}{{ city }}{{ them|length }}{% endfor %}", "X2y1"},
         {"{{ xs|min }}{{ xs|max }}{{ xs|sum }}{{ users|sum(attribute='age') }}", "13685"}});
  EXPECT_NE(error("{{ [1, 'a']|sort }}"), "");
}

TEST(JinjaBuiltins, Selection) {
  check({{"{{ xs|select('odd')|list }} {{ xs|reject('gt', 1)|list }} {{ [0, 1]|select|list }}",
          "[3, 1] [1] [1]"},
         {"{{ users|selectattr('age', 'eq', 30)|map(attribute='name')|list }}", "['Bob', 'Cid']"},
         {"{{ users|rejectattr('zip', 'defined')|list|length }} {{ names|map('upper')|first }}", "3 BOB"},
         {"{{ users|map(attribute='zip', default='-')|join }}", "---"},
         {"{% set g = xs|map('string') %}{{ g|join }}{{ g|join }}|{{ 'yes' if xs|select('gt', 9) }}",
          "312|yes"},
         {"{{ xs|batch(2, 0)|list }} {{ range(5)|slice(2)|list }}", "[[3, 1], [2, 0]] [[0, 1, 2], [3, 4]]"}});
}

TEST(JinjaBuiltins, Text) {
  check({{"{{ \"it's a-b (x)\"|title }} {{ \"it's\".title() }} {{ 'aB c'|capitalize }}",
          "It's A-B (X) It'S Ab c"},
         {"{{ ' x '|trim }}|{{ 'xax'.strip('x') }}|{{ 'abc'|replace('b', 'X') }}|{{ 'aaa'.replace('a', 'b', "
          "2) }}",
          "x|a|aXc|bba"},
         {"{{ 'a\nb\n\nc'|indent(2) }}|{{ 'a\nb'|indent('> ', first=true) }}", "a\n  b\n\n  c|> a\n> b"},
         {"{{ 'a b  c'.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }}",
          "['a', 'b', 'c'] ['a', 'b,c'] ['a,b', 'c']"},
         {"{{ 'abc'.startswith(('x', 'a')) }} {{ 'wörld'.find('l') }} {{ 'a-b'.partition('-') }}",
          "True 3 ('a', '-', 'b')"},
         {"{{ 'ÀÉ'|lower }} {{ 'straße'|upper }} {{ 'ab'.center(5, '*') }} {{ '-5'.zfill(4) }}",
          "àé STRASSE **ab* -005"},
         {"{{ ['a', 1]|join('-') }} {{ 'a b'|wordcount }} {{ 'foo bar baz'|truncate(8, leeway=0) }}",
          "a-1 2 foo..."}});
}

TEST(JinjaBuiltins, Formatting) {
  check(
      {{"{{ '%s %05d %.2f %x' % ('a', 42, 2.345, 255) }} {{ '%(k)s' % {'k': 1} }}", "a 00042 2.35 ff 1"},
       {"{{ '%-4s|%4s|' % ('a', 'b') }} {{ '%s'|format(none) }}", "a   |   b| None"},
       {"{{ '{} {1[k]} {x:>5}|'.format }}", "<built-in method format>"},
       {"{{ '{0} {1[k]} {x:>5}|{{}}'.format('a', {'k': 2}, x='z') }}", "a 2     z|{}"},
       {"{{ '{:,} {:.1f} {:05d} {:%}'.format(1234567, 2.25, 42, 0.5) }}", "1,234,567 2.2 00042 50.000000%"}});
  EXPECT_NE(error("{{ '%d' % 'a' }}"), "");
  EXPECT_NE(error("{{ '%s' % (1, 2) }}"), "");
}

TEST(JinjaBuiltins, Numbers) {
  check({{"{{ 2.5|round }} {{ 2.675|round(2) }} {{ 42.55|round(1, 'floor') }} {{ 5|round }}",
          "2.0 2.67 42.5 5"},
         {"{{ '42.9'|int }} {{ 'x'|int(7) }} {{ '0x1f'|int(0, 16) }} {{ '1e3'|float }}", "42 7 31 1000.0"},
         {"{{ -3|abs }} {{ 3 is odd }} {{ 6 is divisibleby 3 }}", "3 True True"}});
}

TEST(JinjaBuiltins, Json) {
  check({{"{{ {'a': [1.0, 1e-7, none, true], 'é': '<\"/\n'}|tojson }}",
          "{\"a\": [1.0, 1e-07, null, true], \"é\": \"<\\\"/\\n\"}"},
         {"{{ {'b': 1, 'a': []}|tojson(indent=2, sort_keys=true) }}", "{\n  \"a\": [],\n  \"b\": 1\n}"},
         {"{{ 'é😀'|tojson(ensure_ascii=true) }} {{ {1: 2}|tojson(separators=(',', ':')) }}",
          "\"\\u00e9\\ud83d\\ude00\" {\"1\":2}"},
         {"{{ ('{\"a\": [1, 2]}'|from_json).a[1] }}", "2"}});
}

TEST(JinjaBuiltins, Functions) {
  check(
      {{"{{ range(1, 10, 3)|list }} {{ dict(a=1) }} {{ range(3) }}", "[1, 4, 7] {'a': 1} range(0, 3)"},
       {"{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}", "aba"},
       {"{% set j = joiner(', ') %}{{ j() }}a{{ j() }}b", "a, b"},
       {"{{ strftime_now('%d %b %Y') }}", "05 Jan 2026"},
       {"{% set l = [] %}{{ l.append(1) }}{{ l }} {{ d.items()|list }}", "None[1] [('b', 1), ('A', 2.0)]"}});
}

TEST(JinjaBuiltins, WhatEachTestTakes) {
  check({{"{{ 'a' is string }}{{ 1 is number }}{{ true is integer }}{{ d is mapping }}{{ xs is sequence }}",
          "TrueTrueFalseTrueTrue"},
         {"{{ none is none }}{{ 1 is iterable }}{{ nope is iterable }}{{ range is callable }}",
          "TrueFalseTrueTrue"},
         {"{{ 2 is in xs }}{{ 'trim' is filter }}{{ 1 is sameas true }}{{ 'A' is upper }}",
          "TrueTrueFalseTrue"}});
}

}  // namespace
}  // namespace rf
