// Hostile templates end in an Error, soon and without much memory.
#include <gtest/gtest.h>

#include "chat/chat_template.h"
#include "jinja.h"

namespace rf {
namespace {

using test::error;

std::string repeated(const std::string& s, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += s;
  return out;
}

TEST(JinjaLimits, Memory) {
  const jinja::Limits limits{.bytes = 1 << 24};
  for (const char* source :
       {"{{ 'a' * 10 ** 12 }}", "{{ [1] * 10 ** 12 }}", "{{ 'x'.ljust(10 ** 15) }}",
        "{{ '%1000000000d' % 1 }}", "{{ '{:1000000000}'.format(1) }}",
        "{{ ('a' * 10 ** 6)|replace('a', 'b' * 10 ** 6) }}",
        "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
        "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = n.l + n.l %}{% endfor %}",
        "{{ [1]|batch(10 ** 12, 0)|list }}", "{{ 'a\nb'|indent(10 ** 12) }}", "{{ 'x'|center(10 ** 12) }}"})
    EXPECT_NE(error(source, {}, limits), "") << source;
}

TEST(JinjaLimits, Steps) {
  const jinja::Limits limits{.steps = 100'000};
  EXPECT_NE(
      error("{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}", {}, limits),
      "");
  EXPECT_NE(error("{% set l = [1] %}{% for x in l %}{{ l.append(x) }}{% endfor %}", {}, limits), "");
  EXPECT_NE(error("{{ range(10 ** 12) }}"), "");
  EXPECT_NE(error("{{ []|slice(10 ** 12)|list }}", {}, limits), "");
}

TEST(JinjaLimits, Depth) {
  EXPECT_NE(error("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), "");
  EXPECT_NE(error("{{ " + repeated("(", 100'000) + "1" + repeated(")", 100'000) + " }}"), "");
  EXPECT_NE(error("{{ " + repeated("-", 100'000) + "1 }}"), "");
  EXPECT_NE(error("{{ " + repeated("not ", 100'000) + "1 }}"), "");
  EXPECT_NE(error("{{ 1" + repeated(" + 1", 100'000) + " }}"), "");
  EXPECT_NE(error("{{ x" + repeated(".x", 100'000) + " }}"), "");
  EXPECT_NE(error(repeated("{% if true %}", 10'000) + repeated("{% endif %}", 10'000)), "");
  EXPECT_NE(error("{% for x in [[]] recursive %}{{ loop([x]) }}{% endfor %}"), "");
  EXPECT_EQ(error("{{ 1" + repeated("|string", 100'000) + " }}"), "");
}

TEST(JinjaLimits, NestedValues) {
  const std::string nest =
      "{% set n = namespace(v=1) %}{% for i in range(5000) %}{% set n.v = [n.v] %}{% endfor %}";
  EXPECT_NE(error(nest + "{{ n.v }}"), "");
  EXPECT_NE(error(nest + "{{ n.v|tojson }}"), "");
  EXPECT_NE(error(nest + "{{ n.v == [n.v] }}"), "");
  EXPECT_NE(error("{% set l = [] %}{% set _ = l.append(l) %}{{ l }}"), "");
  EXPECT_NE(
      error("{% set n = namespace(v=(1,)) %}{% for i in range(60) %}{% set n.v = (n.v, n.v) %}{% endfor %}"
            "{{ {n.v: 1} }}"),
      "");
}

TEST(JinjaLimits, ObjectsMayHoldThemselves) {
  EXPECT_EQ(error("{% set n = namespace() %}{% set n.n = n %}{% macro m() %}{% endmacro %}{% set n.m = m %}"),
            "");
}

TEST(JinjaLimits, OutputIsBounded) {
  const jinja::Limits limits{.output = 1000};
  EXPECT_NE(error("{% for i in range(1000) %}xx{% endfor %}", {}, limits), "");
  EXPECT_EQ(error("{% for i in range(500) %}xx{% endfor %}", {}, limits), "");
  EXPECT_NE(error("{{ 'x' * 900 }}{% set a %}{{ 'x' * 900 }}{% endset %}", {}, limits), "");
}

}  // namespace
}  // namespace rf
