// Every API over HTTP, byte by byte: what it refuses, how its streams are framed, who is let in.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "running_server.h"

namespace rf {
namespace {

using test::Client;
using test::Reply;
using test::RunningServer;
using Engines = RunningServer::Engines;

// Its engine never comes to be loaded, hence what is answered was found out before.
class Refusals : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    server = new RunningServer({.models = {{"tiny", test::llama()}}, .engines = Engines::never_loaded});
  }
  static void TearDownTestSuite() { delete server; }
  static RunningServer* server;
};
RunningServer* Refusals::server = nullptr;

struct Change {
  const char* path;
  const char* good;    // a body that is taken, to which one field is changed
  const char* change;  // merged into it
  const char* param;
  const char* told;
};

const char* const chat = R"({"messages":[{"role":"user","content":"Hi"}]})";
const char* const text = R"({"prompt":"x"})";
const char* const respond = R"({"input":"x"})";
const char* const message = R"({"max_tokens":4,"messages":[{"role":"user","content":"Hi"}]})";
const char* const rank = R"({"query":"a","documents":["b"]})";

TEST_F(Refusals, FieldByField) {
  const Change changes[] = {
      {"/v1/chat/completions", chat, R"({"messages":null})", "messages", "found none"},
      {"/v1/chat/completions", chat, R"({"temperature":"hot"})", "temperature", "0 to 100"},
      {"/v1/chat/completions", chat, R"({"n":1000})", "n", "1 to 128"},
      {"/v1/chat/completions", chat, R"({"n":17})", "n", "at most 16"},
      {"/v1/chat/completions", chat, R"({"max_tokens":0})", "max_tokens", "at least 1"},
      {"/v1/chat/completions", chat, R"({"max_completion_tokens":0})", "max_completion_tokens", "at least 1"},
      {"/v1/chat/completions", chat, R"({"top_logprobs":3})", "top_logprobs", "logprobs: true"},
      {"/v1/chat/completions", chat, R"({"logprobs":true,"top_logprobs":21})", "top_logprobs", "0 to 20"},
      {"/v1/chat/completions", chat, R"({"logprobs":1})", "logprobs", "true or false"},
      {"/v1/chat/completions", chat, R"({"stream_options":1})", "stream_options", "an object"},
      {"/v1/chat/completions", chat, R"({"stream_options":{"include_usage":1}})",
       "stream_options.include_usage", "true or false"},
      {"/v1/chat/completions", chat, R"({"tool_choice":"required"})", "tool_choice", "tools beside it"},
      {"/v1/chat/completions", chat, R"({"tools":[{"function":{"name":"f"}}],"tool_choice":"maybe"})",
       "tool_choice", "maybe"},
      {"/v1/chat/completions", chat,
       R"({"tools":[{"function":{"name":"f"}}],"tool_choice":{"function":{"name":"g"}}})", "tool_choice",
       "'g'"},
      {"/v1/chat/completions", chat, R"({"chat_template_kwargs":1})", "chat_template_kwargs", "an object"},
      {"/v1/completions", text, R"({"prompt":null})", "prompt", "nothing"},
      {"/v1/completions", text, R"({"prompt":[]})", "prompt", "not empty"},
      {"/v1/completions", text, R"({"prompt":[1,"x"]})", "prompt", "token ids"},
      {"/v1/completions", text, R"({"logprobs":21})", "logprobs", "0 to 20"},
      {"/v1/completions", text, R"({"suffix":"y"})", "suffix", "no tokens"},
      {"/v1/completions", text, R"({"echo":1})", "echo", "true or false"},
      {"/v1/completions", text, R"({"best_of":1,"stop":["a",2]})", "stop", "strings"},
      {"/v1/responses", respond, R"({"input":null})", "input", "nothing"},
      {"/v1/responses", respond, R"({"input":[{"type":"image"}]})", "input[0].type", "image"},
      {"/v1/responses", respond, R"({"input":[{"role":"user"}]})", "messages[0].content", "nothing"},
      {"/v1/responses", respond, R"({"previous_response_id":"r"})", "previous_response_id",
       "whole conversation"},
      {"/v1/responses", respond, R"({"background":true})", "background", "false"},
      {"/v1/responses", respond, R"({"tools":[{"type":"web_search"}]})", "tools[0].type", "web_search"},
      {"/v1/responses", respond, R"({"text":{"format":{"type":"xml"}}})", "response_format.type", "xml"},
      {"/v1/responses", respond, R"({"max_output_tokens":0})", "max_output_tokens", "at least 1"},
      {"/v1/responses", respond, R"({"truncation":"most"})", "truncation", "auto or disabled"},
      {"/v1/messages", message, R"({"max_tokens":null})", "max_tokens", "nothing"},
      {"/v1/messages", message, R"({"max_tokens":0})", "max_tokens", "at least 1"},
      {"/v1/messages", message, R"({"messages":[]})", "messages", "found none"},
      {"/v1/messages", message, R"({"messages":[{"role":"robot","content":"x"}]})", "messages[0].role",
       "robot"},
      {"/v1/messages", message, R"({"messages":[{"role":"user","content":[{"type":"image"}]}]})",
       "messages[0].content[0].type", "image"},
      {"/v1/messages", message, R"({"tools":[{}]})", "tools[0].name", "a string"},
      {"/v1/messages", message, R"({"tool_choice":{"type":"maybe"}})", "tool_choice.type", "maybe"},
      {"/v1/messages", message, R"({"stop_sequences":[""]})", "stop_sequences", "1 to 1024"},
      {"/v1/messages/count_tokens", message, R"({"messages":"x"})", "messages", "an array"},
      {"/api/chat", chat, R"({"options":1})", "options", "an object"},
      {"/api/chat", chat, R"({"options":{"temperature":-1}})", "options.temperature", "0 to 100"},
      {"/api/chat", chat, R"({"options":{"num_predict":0}})", "options.num_predict", "at least 1"},
      {"/api/chat", chat, R"({"format":"xml"})", "format", "json"},
      {"/api/chat", chat, R"({"keep_alive":"5 parsecs"})", "keep_alive", "duration"},
      {"/api/generate", text, R"({"prompt":1})", "prompt", "a string"},
      {"/api/generate", text, R"({"images":["AA=="]})", "images", "takes text"},
      {"/api/generate", text, R"({"stream":"no"})", "stream", "true or false"},
      {"/v1/embeddings", respond, R"({"input":[]})", "input", "not empty"},
      {"/v1/embeddings", respond, R"({"input":[1,2.5]})", "input", "token ids"},
      {"/v1/embeddings", respond, R"({"encoding_format":"hex"})", "encoding_format", "base64"},
      {"/v1/embeddings", respond, R"({"dimensions":0})", "dimensions", "1 to"},
      {"/api/embed", respond, R"({"input":null})", "input", "nothing"},
      {"/api/embeddings", text, R"({"prompt":null})", "prompt", "nothing"},
      {"/v1/rerank", rank, R"({"query":null})", "query", "nothing"},
      {"/rerank", rank, R"({"documents":[]})", "documents", "empty"},
      {"/v1/rerank", rank, R"({"top_n":0})", "top_n", "1 to"},
      {"/generate", text, R"({"prompt":null})", "prompt", "nothing"},
      {"/generate", text, R"({"tokens":[9999]})", "tokens", "under 384"},
      {"/generate", text, R"({"tokens":7})", "tokens", "an array"},
      {"/generate/stream", text, R"({"max_tokens":0})", "max_tokens", "at least 1"},
      {"/tokenize", R"({"text":"x"})", R"({"text":7})", "text", "a string"},
      {"/tokenize", R"({"text":"x"})", R"({"with_pieces":7})", "with_pieces", "true or false"},
      {"/detokenize", R"({"tokens":[1]})", R"({"tokens":null})", "tokens", "nothing"},
      {"/detokenize", R"({"tokens":[1]})", R"({"tokens":["x"]})", "tokens", "token ids"},
      {"/apply-template", chat, R"({"messages":7})", "messages", "an array"},
      {"/v1/chat/completions", chat, R"({"model":7})", "model", "a string"},
      {"/v1/chat/completions", chat, R"({"truncate_prompt":7})", "truncate_prompt", "true or false"}};
  for (const Change& each : changes) {
    Json body = Json::parse(each.good);
    body.update(Json::parse(each.change));
    const Reply reply = server->post(each.path, body);
    const std::string where = fmt::format("{} {}: {}", each.path, each.change, reply.body);
    ASSERT_EQ(reply.status, 400) << where;
    const Json error = reply.json()["error"];
    const std::string told =
        error.is_string() ? error.get<std::string>() : error["message"].get<std::string>();
    EXPECT_NE(told.find(each.param), std::string::npos) << where;
    EXPECT_NE(told.find(each.told), std::string::npos) << where;
    if (error.is_object() && error.contains("param")) {
      EXPECT_EQ(error["param"], each.param) << where;
      EXPECT_EQ(error["type"], "invalid_request_error") << where;
    }
  }
}

TEST_F(Refusals, BodiesPathsAndModels) {
  for (const char* path :
       {"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings",
        "/v1/rerank", "/api/chat", "/api/embed", "/generate", "/tokenize"}) {
    EXPECT_EQ(server->request("POST", path, "{").status, 400) << path;
    EXPECT_EQ(server->request("POST", path, "").status, 400) << path;
    EXPECT_EQ(server->request("POST", path, R"({"model":"gpt-9"})").status, 404) << path;
    EXPECT_EQ(server->request("GET", path).status, 405) << path;
  }
  EXPECT_EQ(server->request("POST", "/v1/messages", "{").json()["type"], "error");
  EXPECT_TRUE(server->request("POST", "/api/chat", "{").json()["error"].is_string());
  EXPECT_EQ(server->request("GET", "/v1/nothing").status, 404);
  EXPECT_EQ(server->request("GET", "/status/nobody").json()["error"]["code"], "request_not_found");
  // A request that waits for an engine.
  const Client waiting(server->port());
  const std::string body = R"({"messages":[{"role":"user","content":"Hi"}]})";
  waiting.send(fmt::format("POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{}",
                           body.size(), body));
  EXPECT_TRUE(test::comes_true([] { return server->request("GET", "/health").status == 503; }))
      << "it is being loaded";
  EXPECT_EQ(server->request("GET", "/health").header("Retry-After"), "1");
  EXPECT_EQ(server->request("GET", "/ready").status, 503);
}

TEST_F(Refusals, WhatNeedsNoEngineIsAnswered) {
  const Reply ids = server->post("/tokenize", {{"text", "Hello"}});
  EXPECT_EQ(ids.status, 200);
  EXPECT_EQ(server->post("/detokenize", {{"tokens", ids.json()["tokens"]}}).json()["text"], "Hello");
  EXPECT_GT(server->post("/v1/messages/count_tokens", Json::parse(message)).json()["input_tokens"], 1);
  EXPECT_EQ(server->request("GET", "/v1/models").json()["data"][0]["id"], "tiny");
  EXPECT_EQ(server->request("GET", "/v1/models/tiny").json()["loaded"], false);
  EXPECT_EQ(server->request("GET", "/api/tags").json()["models"][0]["name"], "tiny");
}

TEST(Access, KeysAndOrigins) {
  RunningServer server({.models = {{"tiny", test::llama()}},
                        .service = {.api_keys = {"secret"}, .cors_origins = {"https://good.example"}},
                        .engines = Engines::never_loaded});
  struct Case {
    const char* headers;
    int status;
  };
  for (const Case& each : {Case{"", 401},
                           {"Authorization: Bearer secret\r\n", 200},
                           {"Authorization: bearer secret\r\n", 200},
                           {"X-Api-Key: secret\r\n", 200},
                           {"Authorization: Bearer secre\r\n", 401},
                           {"Authorization: Bearer secrets\r\n", 401},
                           {"Authorization: Basic secret\r\n", 401},
                           {"X-Api-Key: secret\r\nOrigin: https://good.example\r\n", 200},
                           {"X-Api-Key: secret\r\nOrigin: https://evil.example\r\n", 403},
                           {"X-Api-Key: secret\r\nOrigin: https://good.example.evil.example\r\n", 403},
                           {"X-Api-Key: secret\r\nOrigin: http://test\r\n", 200},
                           {"X-Api-Key: secret\r\nOrigin: null\r\n", 403}})
    EXPECT_EQ(server.request("GET", "/v1/models", "", each.headers).status, each.status) << each.headers;
  EXPECT_EQ(server.request("GET", "/v1/models").header("WWW-Authenticate"), "Bearer");
  EXPECT_EQ(server.request("GET", "/api/version").status, 200) << "open to all";
  const Reply preflight =
      server.request("OPTIONS", "/v1/chat/completions", "", "Origin: https://good.example\r\n");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.header("Access-Control-Allow-Origin"), "https://good.example");
  EXPECT_EQ(preflight.header("Vary"), "Origin");
  EXPECT_NE(preflight.header("Access-Control-Allow-Headers").find("Authorization"), std::string::npos);
  EXPECT_NE(server.request("OPTIONS", "/v1/models", "", "Origin: https://evil.example\r\n").status, 204);
  server.on_loop([&] { server.service().reload({.cors_origins = {"*"}}, Keys({"other"}, "")); });
  EXPECT_EQ(server.request("GET", "/v1/models", "", "X-Api-Key: secret\r\n").status, 401);
  EXPECT_EQ(
      server.request("GET", "/v1/models", "", "X-Api-Key: other\r\nOrigin: https://any.example\r\n").status,
      200);
}

TEST(Reload, ModelsComeAndGo) {
  RunningServer::Setup setup{.models = {{"a", test::llama()}, {"b", test::llama()}},
                             .engines = Engines::never_loaded};
  RunningServer server(setup);
  const auto names = [&] {
    std::string all;
    const Json listed = server.request("GET", "/v1/models").json();
    for (const Json& each : listed["data"]) all += each["id"].get<std::string>();
    return all;
  };
  EXPECT_EQ(names(), "ab");
  const ServedModel* before = server.on_loop([&] { return server.models().find("b"); });
  setup.models = {{"c", test::llama()}, {"b", test::llama()}};
  server.on_loop([&] { server.models().reload(RunningServer::entries(setup), {.keep_alive_seconds = 9}); });
  EXPECT_EQ(names(), "cb");
  EXPECT_EQ(server.on_loop([&] { return server.models().find("b"); }), before);
  EXPECT_EQ(before->keep_ns, 9'000'000'000);
  EXPECT_EQ(server.post("/tokenize", {{"model", "a"}, {"text", "x"}}).status, 404);
  EXPECT_EQ(server.post("/tokenize", {{"model", "c"}, {"text", "x"}}).status, 200);
  setup.models.push_back({"b", test::llama()});
  EXPECT_TRUE(fault_of([&] { Models::check(RunningServer::entries(setup)); }));
}

TEST(Engines, DieOfARequestOnlySoOften) {
  RunningServer server({.models = {{"tiny", test::llama()}}, .engines = Engines::mortal});
  const Reply reply = server.post("/v1/completions", {{"prompt", "x"}});
  EXPECT_EQ(reply.status, 500) << reply.body;
  EXPECT_EQ(reply.json()["error"]["type"], "server_error");
  EXPECT_EQ(server.on_loop([&] { return server.models().first().engine.jobs(); }), 0);
}

// Events as (name, data), the name "" where none stands before the data. Fails on any other line.
std::vector<std::pair<std::string, std::string>> events_of(const std::string& stream) {
  std::vector<std::pair<std::string, std::string>> events;
  for (std::size_t at = 0; at < stream.size();) {
    const std::size_t end = stream.find("\n\n", at);
    if (end == std::string::npos) {
      ADD_FAILURE() << "an event has no end: " << stream.substr(at);
      break;
    }
    std::string event = stream.substr(at, end - at), name;
    if (event.starts_with("event: ")) {
      name = event.substr(7, event.find('\n') - 7);
      event = event.substr(event.find('\n') + 1);
    }
    EXPECT_TRUE(event.starts_with("data: ")) << event;
    EXPECT_EQ(event.find('\n'), std::string::npos) << event;
    events.emplace_back(name, event.substr(6));
    at = end + 2;
  }
  return events;
}

class Streams : public testing::Test {
 protected:
  static void SetUpTestSuite() { server = new RunningServer({.models = {{"tiny", test::llama()}}}); }
  static void TearDownTestSuite() { delete server; }
  static Reply stream(const char* path, const char* body, const Json& more = Json::object()) {
    Json all = Json::parse(body);
    all.update({{"stream", true}, {"max_tokens", 5}, {"temperature", 0}, {"ignore_eos", true}});
    all.update(more);
    const Reply reply = server->post(path, all);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return reply;
  }
  static RunningServer* server;
};
RunningServer* Streams::server = nullptr;

TEST_F(Streams, AreFramedAsEventsOrLines) {
  for (const auto& [path, body] : std::map<const char*, const char*>{
           {"/v1/chat/completions", chat}, {"/v1/completions", text}, {"/generate/stream", text}}) {
    const Reply reply = stream(path, body);
    EXPECT_EQ(reply.header("Content-Type"), "text/event-stream");
    EXPECT_EQ(reply.header("Cache-Control"), "no-cache");
    EXPECT_EQ(reply.header("X-Accel-Buffering"), "no");
    auto events = events_of(reply.body);
    if (std::string_view(path).starts_with("/v1")) {
      EXPECT_EQ(events.back().second, "[DONE]");
      events.pop_back();
    }
    ASSERT_GE(events.size(), 5u);
    for (const auto& [name, data] : events) {
      EXPECT_EQ(name, "");
      EXPECT_TRUE(Json::parse(data, nullptr, false).is_object()) << data;
    }
  }
  for (const auto& [path, body] :
       std::map<const char*, const char*>{{"/v1/responses", respond}, {"/v1/messages", message}}) {
    int number = 0;
    for (const auto& [name, data] : events_of(stream(path, body).body)) {
      const Json event = Json::parse(data, nullptr, false);
      EXPECT_EQ(event["type"], name);
      if (event.contains("sequence_number")) {
        EXPECT_EQ(event["sequence_number"], number++);
      }
    }
  }
  const Reply lines = stream("/api/chat", chat, {{"options", {{"num_predict", 5}}}});
  EXPECT_EQ(lines.header("Content-Type"), "application/x-ndjson");
  ASSERT_FALSE(lines.body.empty());
  EXPECT_EQ(lines.body.back(), '\n');
  for (std::size_t at = 0; at < lines.body.size(); at = lines.body.find('\n', at) + 1) {
    const Json line = Json::parse(lines.body.substr(at, lines.body.find('\n', at) - at), nullptr, false);
    EXPECT_EQ(line["done"], lines.body.find('\n', at) + 1 == lines.body.size());
  }
}

TEST_F(Streams, TextsWithLineEndsStayOnOneLine) {
  const Reply reply = stream("/v1/completions", text, {{"regex", "(a\\n\\n)+"}, {"max_tokens", 12}});
  std::string all;
  for (const auto& [name, data] : events_of(reply.body))
    if (data != "[DONE]") all += Json::parse(data)["choices"][0]["text"].get<std::string>();
  EXPECT_NE(all.find("\n\n"), std::string::npos) << reply.body;
}

TEST_F(Streams, OldClientsGetTheEndOfTheConnection) {
  const Client client(server->port());
  const std::string body = R"({"prompt":"x","max_tokens":3,"stream":true,"ignore_eos":true})";
  client.send("POST /v1/completions HTTP/1.0\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
              body);
  const Reply reply = test::parse_reply(client.receive_all());
  EXPECT_EQ(reply.header("Transfer-Encoding"), "");
  EXPECT_EQ(events_of(reply.body).back().second, "[DONE]");
}

}  // namespace
}  // namespace rf
