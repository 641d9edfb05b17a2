// Prompts made shorter: what goes and what stays.
#include "server/prompt_limits.h"

#include <gtest/gtest.h>

#include <numeric>

#include "server/api_error.h"

namespace rf {
namespace {

using Tokens = std::vector<std::int32_t>;

Tokens counted(int count) {
  Tokens tokens(static_cast<std::size_t>(count));
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

TEST(Truncation, TheWordsThatAskForIt) {
  struct Case {
    const char* body;
    bool otherwise, expected;
  };
  for (const Case& each : {Case{"{}", false, false},
                           {"{}", true, true},
                           {R"({"truncate_prompt":true})", false, true},
                           {R"({"truncate_prompt":false})", true, false},
                           {R"({"truncate":true})", false, true},
                           {R"({"shift":true})", false, true},
                           {R"({"truncation":"auto"})", false, true},
                           {R"({"truncation":"disabled"})", true, false},
                           {R"({"truncate_prompt":null})", true, true}})
    EXPECT_EQ(asks_to_truncate(Fields(Json::parse(each.body)), each.otherwise), each.expected) << each.body;
  for (const char* wrong :
       {R"({"truncation":"x"})", R"({"truncation":true})", R"({"truncate_prompt":"yes"})"})
    EXPECT_THROW(asks_to_truncate(Fields(Json::parse(wrong)), false), ApiError) << wrong;
}

TEST(Truncation, TokensAfterTheFirstOnesGo) {
  struct Case {
    int answer, keep;
    std::int32_t bos;
    int expected;  // tokens left
  };
  // A context of 100: room for the answer, at most half of it; a quarter where it has no bound.
  for (const Case& each :
       {Case{10, 0, -1, 90}, {-1, 0, -1, 75}, {90, 0, -1, 50}, {10, 7, -1, 90}, {10, 7, 0, 90}}) {
    const Json body = {{"truncate_prompt", true}, {"n_keep", each.keep}};
    Tokens prompt = counted(300);
    const int gone = Truncation(Fields(body), {.context = 100}, each.answer).cut(prompt, each.bos);
    EXPECT_EQ(gone, 300 - each.expected);
    ASSERT_EQ(static_cast<int>(prompt.size()), each.expected);
    const int keep = each.keep + (each.bos == 0 ? 1 : 0);
    for (int i = 0; i < each.expected; ++i)
      EXPECT_EQ(prompt[static_cast<std::size_t>(i)], i < keep ? i : 300 - each.expected + i);
  }
  const auto cut = [](const Json& body, int tokens) {
    Tokens prompt = counted(tokens);
    return Truncation(Fields(body), {.context = 100}, 10).cut(prompt, -1);
  };
  EXPECT_EQ(cut({{"truncate_prompt", true}}, 90), 0);
  EXPECT_EQ(cut({{"truncate_prompt", true}, {"n_keep", -1}}, 300), 0) << "all is kept, and refused later";
  EXPECT_EQ(cut(Json::object(), 300), 0);
  EXPECT_THROW(cut({{"truncate_prompt", true}, {"n_keep", 90}}, 300), ApiError);
}

// A message of n characters takes n tokens.
Tokens encode(const Json& messages) {
  int count = 0;
  for (const Json& each : messages) count += static_cast<int>(each["content"].get<std::string>().size());
  return counted(count);
}

Json conversation(std::initializer_list<std::pair<const char*, int>> messages) {
  Json list = Json::array();
  for (const auto& [role, size] : messages)
    list.push_back({{"role", role}, {"content", std::string(static_cast<std::size_t>(size), 'x')}});
  return list;
}

TEST(Truncation, TheFewestMessagesGo) {
  const Json on = {{"truncate_prompt", true}};
  const Json messages = conversation({{"system", 10},
                                      {"user", 20},
                                      {"assistant", 30},
                                      {"tool", 5},
                                      {"assistant", 5},
                                      {"user", 40},
                                      {"assistant", 10},
                                      {"user", 20}});
  for (const auto& [context, expected] :
       {std::pair(1000, 140), {150, 140}, {149, 80}, {90, 80}, {89, 30}, {60, 30}}) {
    Tokens prompt = encode(messages);
    const int gone = Truncation(Fields(on), {.context = context}, 10).cut(messages, encode, prompt);
    EXPECT_EQ(static_cast<int>(prompt.size()), expected) << context;
    EXPECT_EQ(gone, 140 - expected);
  }
  Tokens prompt = encode(messages);
  const auto error =
      fault_of([&] { Truncation(Fields(on), {.context = 39}, 10).cut(messages, encode, prompt); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "context_length_exceeded");
  EXPECT_NE(std::string(error->what()).find("found 30 tokens where at most 29 may be"), std::string::npos)
      << error->what();
  const Json alone = conversation({{"user", 50}});
  Tokens one = encode(alone);
  EXPECT_TRUE(fault_of([&] { Truncation(Fields(on), {.context = 40}, 10).cut(alone, encode, one); }));
}

}  // namespace
}  // namespace rf
