// Snippets of templates that python's jinja2 has rendered (tests/golden/jinja/record.py), one by one.
#include <gtest/gtest.h>

#include <fstream>

#include "golden.h"
#include "jinja.h"

namespace rf {
namespace {

using Json = nlohmann::ordered_json;

// "" where the engine does what was recorded; where it failed in Python, it fails.
std::string complaint(const Json& snippet, const Json& variables) {
  try {
    const std::string text = test::render(snippet["source"], variables);
    if (!snippet.contains("expected")) return "expected an error, got " + text;
    const auto& expected = snippet["expected"].get_ref<const std::string&>();
    return text == expected ? "" : "expected\n" + expected + "\ngot\n" + text;
  } catch (const Error& error) {
    return snippet.contains("error") ? "" : error.what();
  }
}

TEST(JinjaSnippets, AreRenderedAsByJinja2) {
  std::ifstream file(test::golden("jinja/snippets.json"));
  const Json recorded = Json::parse(file);
  for (const Json& snippet : recorded["snippets"])
    EXPECT_EQ(complaint(snippet, recorded["variables"]), "") << snippet["source"];
  EXPECT_GT(recorded["snippets"].size(), 800u);
}

}  // namespace
}  // namespace rf
