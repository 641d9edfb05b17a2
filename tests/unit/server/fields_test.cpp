// Bodies and fields: what is read, and how what is wrong is told.
#include "server/fields.h"

#include <gtest/gtest.h>

#include <functional>

#include "server/api_error.h"

namespace rf {
namespace {

// "" where nothing is wrong.
std::string fault(const std::function<void()>& call) {
  const auto error = fault_of(call);
  if (!error) return "";
  EXPECT_EQ(error->status, 400);
  return error->what();
}

std::string nested(std::size_t levels) {
  std::string open, close;
  for (std::size_t i = 0; i < levels; ++i) {
    open += R"({"a":)";
    close += '}';
  }
  return open + "1" + close;
}

std::string members(int count) {
  std::string text = "{";
  for (int i = 0; i < count; ++i) text += (i > 0 ? "," : "") + fmt::format("\"k{}\":1", i);
  return text + "}";
}

TEST(Body, LimitsAreTold) {
  const std::pair<std::string, std::string> cases[] = {
      {"{}", ""},
      {nested(64), ""},
      {nested(65), "body: expected at most 64 levels of JSON"},
      {R"({"a":)" + std::string(100000, '[') + "}", "body: expected at most 64 levels of JSON"},
      {members(2048), ""},
      {members(2049), "body: expected at most 2048 members of an object"},
      {R"({"a":{"b":1},"c":[)" + members(2049) + "]}", "body: expected at most 2048 members of an object"},
      {"[]", "body: expected a JSON object"},
      {"null", "body: expected a JSON object"},
      {"", "body: expected a JSON object, found nothing"}};
  for (const auto& [body, expected] : cases)
    EXPECT_EQ(fault([&, text = body] { parse_body(text); }), expected) << body.substr(0, 60);
  for (const std::string body : {"{", "{\"a\":}", "\xff\xfe", "{\"a\":\"\xff\"}", "{} {}", "{\"a\":1e999}"})
    EXPECT_TRUE(fault([&] { parse_body(body); }).starts_with("body: not JSON: ")) << body;
  EXPECT_LT(fault([&] { parse_body("{\"" + std::string(5000, 'x')); }).size(), 300u);
}

using Read = std::function<void(const Fields&)>;

TEST(Body, WhatAModelHasWritten) {
  EXPECT_EQ(object_of(R"({"a": [1, {"b": null}]})"), Json::parse(R"({"a": [1, {"b": null}]})"));
  for (const char* other : {"", "[1]", "\"x\"", "{", "{\"a\": 1} x"})
    EXPECT_EQ(object_of(other), Json::object()) << other;
  const auto nested = [](std::size_t levels) {
    return "{\"a\":" + std::string(levels, '[') + std::string(levels, ']') + "}";
  };
  EXPECT_EQ(dump(object_of(nested(50))), nested(50));
  EXPECT_EQ(object_of(nested(1000000)), Json::object());
}

TEST(Fields, WrongValuesNameTheFieldTheLimitAndWhatWasFound) {
  const Read number = [](const Fields& f) { f.number("x", 0, 2); };
  const Read integer = [](const Fields& f) { f.integer("x", -1, 5); };
  const Read boolean = [](const Fields& f) { f.boolean("x"); };
  const Read text = [](const Fields& f) { f.text("x", 4); };
  const Read needed = [](const Fields& f) { f.required_text("x", 4); };
  const Read array = [](const Fields& f) { f.array("x", 2); };
  const Read object = [](const Fields& f) { f.object("x"); };
  const Read texts = [](const Fields& f) { f.texts("x", 2); };
  struct Case {
    Read read;
    const char* value;
    const char* expected;
  };
  const Case cases[] = {{number, "1.5", ""},
                        {number, "2", ""},
                        {number, "null", ""},
                        {number, "2.01", "x: expected a number from 0 to 2, found 2.01"},
                        {number, "-1", "x: expected a number from 0 to 2, found -1"},
                        {number, "\"1\"", "x: expected a number from 0 to 2, found \"1\""},
                        {number, "true", "x: expected a number from 0 to 2, found true"},
                        {number, "[]", "x: expected a number from 0 to 2, found an array"},
                        {integer, "5", ""},
                        {integer, "5.0", ""},
                        {integer, "-1", ""},
                        {integer, "6", "x: expected a whole number from -1 to 5, found 6"},
                        {integer, "1.5", "x: expected a whole number from -1 to 5, found 1.5"},
                        {integer, "18446744073709551615",
                         "x: expected a whole number from -1 to 5, found 18446744073709551615"},
                        {boolean, "false", ""},
                        {boolean, "0", "x: expected true or false, found 0"},
                        {text, "\"abcd\"", ""},
                        {text, "\"abcde\"", "x: expected at most 4 bytes, found 5"},
                        {text, "1", "x: expected a string, found 1"},
                        {needed, "null", "x: expected a string, found nothing"},
                        {needed, "{}", "x: expected a string, found an object"},
                        {array, "[1,2]", ""},
                        {array, "[1,2,3]", "x: expected at most 2 elements, found 3"},
                        {array, "\"ab\"", "x: expected an array, found \"ab\""},
                        {object, "{}", ""},
                        {object, "[]", "x: expected an object, found an array"},
                        {texts, "\"one\"", ""},
                        {texts, "[\"a\",\"b\"]", ""},
                        {texts, "[\"a\",1]", "x: expected strings, found 1"},
                        {texts, "[\"a\",\"b\",\"c\"]", "x: expected at most 2 elements, found 3"},
                        {texts, "7", "x: expected a string or an array of them, found 7"}};
  for (const auto& each : cases) {
    const Json body = {{"x", Json::parse(each.value)}, {"unknown", 1}};
    EXPECT_EQ(fault([&] { each.read(Fields(body)); }), each.expected) << each.value;
    const Json outer = {{"in", body}};
    std::string inner = each.expected;
    if (!inner.empty()) inner = "in." + inner;
    EXPECT_EQ(fault([&] { each.read(Fields(outer["in"], "in")); }), inner);
  }
  const Json absent = Json::object();
  EXPECT_EQ(Fields(absent).number("x", 0, 2), std::nullopt);
  EXPECT_EQ(fault([&] { Fields(absent).required_text("x"); }), "x: expected a string, found nothing");
  const Json long_text = std::string(200, 'y');
  EXPECT_LT(found_text(long_text).size(), 70u);
}

TEST(ApiError, IsWrittenAsEachApiDoes) {
  const ApiError error(400, "n: expected at most 2, found 3", "n", "too_many");
  const Json openai = Json::parse(error_body(ErrorStyle::openai, error))["error"];
  EXPECT_EQ(openai["message"], error.what());
  EXPECT_EQ(openai["type"], "invalid_request_error");
  EXPECT_EQ(openai["param"], "n");
  EXPECT_EQ(openai["code"], "too_many");
  const Json anthropic = Json::parse(error_body(ErrorStyle::anthropic, error));
  EXPECT_EQ(anthropic["type"], "error");
  EXPECT_EQ(anthropic["error"]["type"], "invalid_request_error");
  EXPECT_EQ(Json::parse(error_body(ErrorStyle::ollama, error))["error"], error.what());
  const std::pair<int, std::pair<const char*, const char*>> types[] = {
      {401, {"authentication_error", "authentication_error"}},
      {403, {"permission_error", "permission_error"}},
      {404, {"not_found_error", "not_found_error"}},
      {413, {"invalid_request_error", "request_too_large"}},
      {429, {"rate_limit_error", "rate_limit_error"}},
      {500, {"server_error", "api_error"}},
      {503, {"unavailable_error", "overloaded_error"}}};
  for (const auto& [status, names] : types) {
    const ApiError each(status, "x");
    EXPECT_EQ(Json::parse(error_body(ErrorStyle::openai, each))["error"]["type"], names.first) << status;
    EXPECT_EQ(Json::parse(error_body(ErrorStyle::anthropic, each))["error"]["type"], names.second) << status;
    EXPECT_TRUE(Json::parse(error_body(ErrorStyle::openai, each))["error"]["param"].is_null());
  }
  ApiError busy(429, "x");
  busy.retry_after = 7;
  EXPECT_EQ(error_response(ErrorStyle::openai, busy).headers, (HeaderList{{"Retry-After", "7"}}));
}

TEST(ApiError, OfTheEngineNamesTheClientsField) {
  const auto told = [](const char* what, const char* field) { return engine_fault(400, what, field); };
  EXPECT_STREQ(told("prompt: expected at most 3 tokens in a context of 4, found 9", "messages").what(),
               "messages: expected at most 3 tokens in a context of 4, found 9");
  EXPECT_EQ(told("prompt: expected at most 3 tokens in a context of 4, found 9", "messages").code,
            "context_length_exceeded");
  EXPECT_EQ(told("tokens[2]: expected a token id", "input").param, "input");
  EXPECT_EQ(told("logit_bias: expected", "messages").param, "logit_bias");
  EXPECT_EQ(told("constraint: JSON schema, #/type: expected", "response_format").param, "response_format");
  EXPECT_STREQ(told("constraint: JSON schema, #/type: expected", "response_format").what(),
               "response_format: JSON schema, #/type: expected");
  EXPECT_STREQ(told("/home/me/model.gguf: embeds text", "prompt").what(), "model: embeds text");
  EXPECT_EQ(engine_fault(503, "gone", "prompt").param, "");
  EXPECT_EQ(fault_of([] { throw std::bad_alloc(); })->status, 500);
  EXPECT_EQ(fault_of([] { fail("x"); })->status, 400);
  EXPECT_EQ(fault_of([] {}), std::nullopt);
}

}  // namespace
}  // namespace rf
