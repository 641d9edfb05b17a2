// The fields that all APIs share, one by one: what is taken, what is refused and how that is told.
#include "server/request_fields.h"

#include <gtest/gtest.h>

#include <cmath>

#include "running_server.h"

namespace rf {
namespace {

struct Case {
  std::string body;
  std::string field;  // that is blamed; "": it is taken
  std::string told;   // stands in the message
};

void check(const std::vector<Case>& cases, const std::function<void(const Fields&)>& read) {
  for (const auto& [text, field, told] : cases) {
    const Json body = Json::parse(text);
    const auto error = fault_of([&] { read(Fields(body)); });
    EXPECT_EQ(error.has_value(), !field.empty()) << text << (error ? error->what() : "");
    if (!error) continue;
    EXPECT_EQ(error->status, 400) << text;
    EXPECT_EQ(error->param, field) << text;
    EXPECT_NE(std::string(error->what()).find(field), std::string::npos) << error->what();
    EXPECT_NE(std::string(error->what()).find(told), std::string::npos) << error->what();
  }
}

TEST(Sampling, NumbersHaveBounds) {
  struct Bounds {
    const char* name;
    double low, high;
    bool whole;
  };
  std::vector<Case> cases;
  for (const Bounds& each : {Bounds{"temperature", 0, 100, false},
                             {"top_p", 0, 1, false},
                             {"min_p", 0, 1, false},
                             {"top_k", -1, 1 << 30, true},
                             {"repeat_penalty", 1e-3, 100, false},
                             {"repetition_penalty", 1e-3, 100, false},
                             {"repeat_last_n", -1, 1 << 30, true},
                             {"presence_penalty", -100, 100, false},
                             {"frequency_penalty", -100, 100, false},
                             {"typical_p", 0, 1, false},
                             {"top_n_sigma", -1, 1e6, false},
                             {"xtc_probability", 0, 1, false},
                             {"xtc_threshold", 0, 1, false},
                             {"dynatemp_range", 0, 100, false},
                             {"dynatemp_exponent", 0, 100, false},
                             {"mirostat", 0, 2, true},
                             {"mirostat_tau", 0, 1000, false},
                             {"mirostat_eta", 0, 1000, false},
                             {"dry_multiplier", 0, 1000, false},
                             {"dry_base", 1, 1000, false},
                             {"dry_allowed_length", 0, 1 << 20, true},
                             {"dry_penalty_last_n", -1, 1 << 30, true}}) {
    const auto body = [&](const std::string& value) {
      return fmt::format(R"({{"{}":{}}})", each.name, value);
    };
    cases.push_back({body(fmt::format("{}", each.low)), "", ""});
    cases.push_back({body(fmt::format("{}", each.high)), "", ""});
    cases.push_back({body("null"), "", ""});
    cases.push_back({body(fmt::format("{}", each.low - 1)), each.name, "expected a"});
    cases.push_back({body(fmt::format("{}", each.high * 2 + 1)), each.name, "found"});
    for (const char* wrong : {"\"1\"", "true", "[]", "{}"})
      cases.push_back({body(wrong), each.name, "expected a"});
    if (each.whole) cases.push_back({body("1.5"), each.name, "whole number"});
  }
  check(cases, [](const Fields& fields) {
    Request request;
    read_sampling(fields, request);
    request.sampling.check(1 << 30);
  });
}

TEST(Sampling, OtherFields) {
  const std::vector<Case> cases = {
      {R"({"seed":0})", "", ""},
      {R"({"seed":-1})", "", ""},
      {R"({"seed":9223372036854775807})", "", ""},
      {R"({"seed":18446744073709551615})", "", ""},
      {R"({"seed":-9223372036854775808})", "", ""},
      {R"({"seed":7.0})", "", ""},
      {R"({"seed":18446744073709551616})", "seed", "64 bits"},
      {R"({"seed":-9223372036854775809})", "seed", "64 bits"},
      {R"({"seed":1.5})", "seed", "1.5"},
      {R"({"seed":"1"})", "seed", "whole number"},
      {R"({"ignore_eos":1})", "ignore_eos", "true or false"},
      {R"({"logit_bias":{"5":-100,"6":1.5}})", "", ""},
      {R"({"logit_bias":[[5,false],[6,2]]})", "", ""},
      {R"({"logit_bias":{"x":1}})", "logit_bias", "token ids"},
      {R"({"logit_bias":{"-1":1}})", "logit_bias", "token ids"},
      {R"({"logit_bias":{"1":"y"}})", "logit_bias", "numbers"},
      {R"({"logit_bias":{"1":1e9}})", "logit_bias", "1e6"},
      {R"({"logit_bias":[[1]]})", "logit_bias", "pairs"},
      {R"({"logit_bias":[[4294967296,1]]})", "logit_bias", "token ids"},
      {R"({"logit_bias":"x"})", "logit_bias", "an object"},
      {R"({"samplers":["penalties","dry","top_n_sigma","top_k","typ_p","top_p","min_p","xtc","temperature"]})",
       "", ""},
      {R"({"samplers":["magic"]})", "samplers", "magic"},
      {R"({"samplers":"top_k"})", "samplers", "an array"},
      {R"({"dry_sequence_breakers":["a",1]})", "dry_sequence_breakers", "strings"},
      {R"({"unheard_of":{"a":[1]},"user":null})", "", ""}};
  check(cases, [](const Fields& fields) {
    Request request;
    read_sampling(fields, request);
  });
  Json many = Json::object();
  for (std::size_t i = 0; i <= most_bias; ++i) many[std::to_string(i)] = 1;
  check({{dump({{"logit_bias", many}}), "logit_bias", "at most 1024"}}, [](const Fields& fields) {
    Request request;
    read_sampling(fields, request);
  });
  Request request;
  const Json body = {{"logit_bias", {{"7", -100}}}, {"samplers", {"top_k", "temperature"}}};
  read_sampling(Fields(body), request);
  const auto seed = [](const char* text) {
    const Json given = Json::parse(text);
    Request with;
    read_sampling(Fields(given), with);
    return with.sampling.seed;
  };
  EXPECT_EQ(seed(R"({"seed":-1})"), std::nullopt);
  EXPECT_EQ(seed(R"({"seed":18446744073709551614})"), ~std::uint64_t{1});
  EXPECT_EQ(seed(R"({"seed":-2})"), ~std::uint64_t{1});
  EXPECT_EQ(seed(R"({"seed":7.0})"), 7u);
  EXPECT_TRUE(std::isinf(request.sampling.logit_bias.at(0).second));
  EXPECT_EQ(request.sampling.order,
            (std::vector<SamplerStage>{SamplerStage::top_k, SamplerStage::temperature}));
}

TEST(Delivery, StopsTokensAndChoices) {
  const std::string many = dump({{"stop", Json(std::vector<std::string>(most_stops, "x"))}});
  const std::string too_many = dump({{"stop", Json(std::vector<std::string>(most_stops + 1, "x"))}});
  check({{R"({"stop":"x"})", "", ""},
         {R"({"stop":["x","y"]})", "", ""},
         {many, "", ""},
         {too_many, "stop", "at most 16 elements, found 17"},
         {R"({"stop":[""]})", "stop", "1 to 1024 bytes"},
         {dump({{"stop", std::string(1025, 'x')}}), "stop", "found one of 1025"},
         {R"({"stop":[1]})", "stop", "strings"},
         {R"({"stop":{}})", "stop", "an array"}},
        [](const Fields& fields) {
          Request request;
          read_stop(fields, "stop", request);
        });
  check({{R"({"max_tokens":1})", "", ""},
         {R"({"max_tokens":-1})", "", ""},
         {R"({"max_tokens":0})", "max_tokens", "at least 1"},
         {R"({"max_tokens":-2})", "max_tokens", "-1"},
         {R"({"max_tokens":"8"})", "max_tokens", "whole number"},
         {R"({"max_tokens":1e30})", "max_tokens", "1073741824"}},
        [](const Fields& fields) {
          Request request;
          read_max_tokens(fields, "max_tokens", request);
        });
  check({{R"({"n":1,"stream":true,"return_progress":true})", "", ""},
         {R"({"n":0})", "n", "1 to 128"},
         {R"({"n":129})", "n", "1 to 128"},
         {R"({"n":"2"})", "n", "whole number"},
         {R"({"stream":"yes"})", "stream", "true or false"},
         {R"({"return_progress":1})", "return_progress", "true or false"}},
        [](const Fields& fields) {
          Generation generation;
          read_delivery(fields, generation, false);
        });
}

TEST(Constraint, OneAtATime) {
  check({{R"({"response_format":{"type":"text"}})", "", ""},
         {R"({"response_format":{"type":"json_object"}})", "", ""},
         {R"({"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{}}}})", "", ""},
         {R"({"response_format":"json"})", "response_format", "an object"},
         {R"({"response_format":{}})", "response_format.type", "a string"},
         {R"({"response_format":{"type":"xml"}})", "response_format.type", "xml"},
         {R"({"response_format":{"type":"json_schema"}})", "response_format.json_schema", "nothing"},
         {R"({"response_format":{"type":"json_schema","json_schema":{}}})",
          "response_format.json_schema.schema", "nothing"},
         {R"({"grammar":"root ::= \"a\""})", "", ""},
         {R"({"grammar":1})", "grammar", "a string"},
         {R"({"json_schema":{"type":"object"}})", "", ""},
         {R"({"regex":"[a-z]+"})", "", ""},
         {R"({"choice":["a","b"]})", "", ""},
         {R"({"choice":[1]})", "choice", "strings"},
         {R"({"choice":[]})", "choice", "at least one"},
         {R"({"regex":"a","choice":["a"]})", "choice", "two"},
         {R"({"grammar":"root ::= \"a\"","response_format":{"type":"json_object"}})", "grammar", "two"},
         {R"({"grammar":"","regex":"a"})", "", ""}},
        [](const Fields& fields) {
          Generation generation;
          read_constraint(fields, generation);
        });
}

TEST(Messages, FormsOfContents) {
  check(
      {{R"({"messages":[{"role":"user","content":"Hi"}]})", "", ""},
       {R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"input_text","text":"b"}]}]})",
        "", ""},
       {R"({"messages":[{"role":"assistant","tool_calls":[]}]})", "", ""},
       {R"({"messages":[]})", "messages", "found none"},
       {R"({})", "messages", "found none"},
       {R"({"messages":"hi"})", "messages", "an array"},
       {R"({"messages":["hi"]})", "messages[0]", "an object"},
       {R"({"messages":[{"content":"x"}]})", "messages[0].role", "a string"},
       {R"({"messages":[{"role":1,"content":"x"}]})", "messages[0].role", "a string"},
       {R"({"messages":[{"role":"user"}]})", "messages[0].content", "nothing"},
       {R"({"messages":[{"role":"user","content":5}]})", "messages[0].content", "found 5"},
       {R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]})",
        "messages[0].content[0].type", "image_url"},
       {R"({"messages":[{"role":"user","content":["x"]}]})", "messages[0].content[0]", "an object"},
       {R"({"messages":[{"role":"user","content":"x","images":[]}]})", "", ""},
       {R"({"messages":[{"role":"user","content":"x","images":["AA=="]}]})", "messages[0].images", "text"},
       {R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{"}}]}]})", "",
        ""},
       {R"({"messages":[{"role":"assistant","tool_calls":[{"name":"f","arguments":{}}]}]})", "", ""},
       {R"({"messages":[{"role":"assistant","tool_calls":"f"}]})", "messages[0].tool_calls", "an array"},
       {R"({"messages":[{"role":"assistant","tool_calls":["f"]}]})", "messages[0].tool_calls[0]",
        "an object"},
       {R"({"messages":[{"role":"assistant","tool_calls":[{}]}]})", "messages[0].tool_calls[0].name",
        "nothing"},
       {R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":1}}]}]})",
        "messages[0].tool_calls[0].function.name", "found 1"}},
      [](const Fields& fields) { read_messages(fields, "messages"); });
  const Json body = {
      {"messages",
       Json::array({{{"role", "developer"}, {"content", Json::array({{{"text", "a"}}, {{"text", "b"}}})}}})}};
  const Json read = read_messages(Fields(body), "messages");
  EXPECT_EQ(read[0]["role"], "system");
  EXPECT_EQ(read[0]["content"], "ab");
  check({{R"({"tools":[{"type":"function","function":{"name":"a"}}]})", "", ""},
         {R"({"tools":[]})", "", ""},
         {R"({"tools":{}})", "tools", "an array"},
         {R"({"tools":[{"type":"function"}]})", "tools[0].function", "nothing"},
         {R"({"tools":[{"function":{}}]})", "tools[0].function.name", "a string"},
         {R"({"tools":[{"function":{"name":1}}]})", "tools[0].function.name", "a string"},
         {R"({"tools":[{"function":{"name":"a","parameters":"x"}}]})", "tools[0].function.parameters",
          "an object"}},
        [](const Fields& fields) { read_tools(fields); });
}

TEST(Tokens, AreOfTheVocabulary) {
  const ModelText text(test::llama());
  const auto read = [&](const char* list) {
    const Json ids = Json::parse(list);
    return fault_of([&] { read_tokens(text, "prompt", ids); });
  };
  EXPECT_FALSE(read("[0,383]"));
  for (const char* wrong : {"[384]", "[-1]", "[1.5]", "[\"1\"]", "[99999999999999]", "[null]"}) {
    ASSERT_TRUE(read(wrong)) << wrong;
    EXPECT_EQ(read(wrong)->param, "prompt");
    EXPECT_NE(std::string(read(wrong)->what()).find("under 384"), std::string::npos);
  }
}

}  // namespace
}  // namespace rf
