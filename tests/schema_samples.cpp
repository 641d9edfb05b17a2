// For tests/cli/schemas_test.py: reads JSON schemas, one a line, and answers each with a JSON line: texts
// written by chance under its grammar, or the error that it gives.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "chat/grammar/json_schema.h"
#include "unit/chat/grammar.h"

int main(int argc, char** argv) {
  using namespace rf;
  testing::GTEST_FLAG(throw_on_failure) = true;
  testing::InitGoogleTest(&argc, argv);
  const int samples = argc > 1 ? std::stoi(argv[1]) : 4;
  const test::Trie trie = test::mixed_trie();
  std::string line;
  for (unsigned seed = 0; std::getline(std::cin, line); ++seed) {
    nlohmann::json answer;
    try {
      const auto grammar = test::TokenGrammar::make(grammar::parse_json_schema(line), trie);
      for (int i = 0; i < samples; ++i)
        answer["texts"].push_back(
            test::random_text(*grammar, seed * 100 + static_cast<unsigned>(i), 10 + 15 * i, 1000));
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::printf("%s\n", answer.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace).c_str());
  }
  return 0;
}
