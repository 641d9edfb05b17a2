// Connections, byte by byte: their limits, and clients that finish sending, vanish, or send oddly.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>

#include "running_server.h"

namespace rf {
namespace {

using test::Client;
using test::comes_true;
using test::Reply;
using test::RunningServer;
using Engines = RunningServer::Engines;

std::string post(const std::string& path, const std::string& body, const std::string& version = "1.1",
                 const std::string& headers = "") {
  return fmt::format("POST {} HTTP/{}\r\nHost: test\r\nContent-Length: {}\r\n{}\r\n{}", path, version,
                     body.size(), headers, body);
}

bool is_idle(RunningServer& server) {
  return server.request("GET", "/status").json()["requests"].empty();
}

TEST(Http, LimitsAreTold) {
  HttpOptions http;
  http.limits = {.body_bytes = 2000, .header_bytes = 1024, .connections = 8};
  RunningServer server({.models = {{"tiny", test::llama()}}, .http = http, .engines = Engines::never_loaded});
  const Reply long_body = server.request("POST", "/tokenize", std::string(3000, ' '));
  EXPECT_EQ(long_body.status, 413);
  EXPECT_NE(long_body.body.find("more than 2000 bytes"), std::string::npos);
  EXPECT_EQ(server.request("GET", "/health", "", "X-Long: " + std::string(2000, 'x') + "\r\n").status, 431);
  const auto raw = [&](std::string_view bytes) {
    const Client client(server.port());
    client.send(bytes);
    return test::parse_reply(client.receive_all()).status;
  };
  EXPECT_EQ(raw("GARBAGE\r\n\r\n"), 400);
  EXPECT_EQ(raw("POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"), 400);
  EXPECT_EQ(raw("GET /api/version HTTP/1.0\r\n\r\n"), 200);
  EXPECT_EQ(raw("POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"), 501);
  server.on_loop([&] { server.http().set_limits({.body_bytes = 10}); });
  EXPECT_EQ(server.request("POST", "/tokenize", R"({"text":"Hello"})").status, 413);
}

TEST(Http, ConnectionsBeyondTheLimitAreToldSo) {
  HttpOptions http;
  http.limits.connections = 3;
  RunningServer server({.models = {{"tiny", test::llama()}}, .http = http, .engines = Engines::never_loaded});
  const std::string get = "GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n";
  std::vector<std::unique_ptr<Client>> idle;
  for (int i = 0; i < 3; ++i) {
    idle.push_back(std::make_unique<Client>(server.port()));
    idle.back()->send(get);
    EXPECT_EQ(test::parse_reply(idle.back()->receive_some()).status, 200);
  }
  const Client late(server.port());
  late.send(get);
  const Reply refused = test::parse_reply(late.receive_all());
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.header("Connection"), "close");
  EXPECT_NE(refused.body.find("at most 3 connections"), std::string::npos) << refused.body;
  idle.pop_back();
  EXPECT_TRUE(comes_true([&] { return server.request("GET", "/api/version").status == 200; }))
      << "the place of one that left is not given to the next";
}

TEST(Http, RequestsAsSomeClientsSendThem) {
  RunningServer server({.models = {{"tiny", test::llama()}}, .engines = Engines::never_loaded});
  const Client client(server.port());
  client.send("\r\n");
  client.send("\r\nPOST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n{\"text\":\"x\"}\r\n");
  EXPECT_EQ(test::parse_reply(client.receive_some()).status, 200) << "between requests line ends are let be";
  client.send("GET http://x/api/version?a=/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(test::parse_reply(client.receive_all()).status, 200) << "as a proxy is asked";
}

class Clients : public testing::Test {
 protected:
  static void SetUpTestSuite() { server = new RunningServer({.models = {{"tiny", test::llama()}}}); }
  static void TearDownTestSuite() { delete server; }
  static RunningServer* server;
};
RunningServer* Clients::server = nullptr;

TEST_F(Clients, WhoOnlyFinishedSendingIsAnsweredToTheEnd) {
  for (const char* version : {"1.1", "1.0"})
    for (const bool streamed : {true, false})
      for (const bool late : {true, false}) {  // after the first bytes of the answer
        const Client client(server->port());
        client.send(post(
            "/v1/completions",
            fmt::format(R"({{"prompt":"x","max_tokens":40,"temperature":0,"ignore_eos":true,"stream":{}}})",
                        streamed),
            version, "Connection: close\r\n"));
        std::string bytes;
        if (late) bytes = client.receive_some();
        client.finish_sending();
        bytes += client.receive_all();
        const Reply reply = test::parse_reply(bytes);
        const std::string where = fmt::format("{} {} {}: {}", version, streamed, late, bytes);
        ASSERT_TRUE(bytes.starts_with(fmt::format("HTTP/{} 200", version))) << where;
        if (streamed) {
          EXPECT_TRUE(reply.body.ends_with("data: [DONE]\n\n")) << where;
        } else {
          EXPECT_EQ(reply.json()["usage"]["completion_tokens"], 40) << where;
        }
      }
  const Client client(server->port());
  const std::string get = "GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n";
  client.send(get + get + get);
  client.finish_sending();
  const std::string all = client.receive_all();
  std::size_t answers = 0;
  for (std::size_t at = all.find("200 OK"); at != std::string::npos; at = all.find("200 OK", at + 1))
    ++answers;
  EXPECT_EQ(answers, 3u) << all;
}

TEST_F(Clients, WhoClosesInTheMiddleOfAStreamEndsTheRequest) {
  {
    const Client client(server->port());
    client.send(
        post("/v1/completions", R"({"prompt":"x","max_tokens":120,"stream":true,"ignore_eos":true})"));
    EXPECT_FALSE(client.receive_some().empty());
  }
  EXPECT_TRUE(comes_true([] { return is_idle(*server); }));
}

// No engine comes to be there: what is seen of the client is seen while it waits.
TEST(WaitingClients, AreAskedWhetherTheyAreThereWithWhatTheAnswerBeginsWith) {
  RunningServer server({.models = {{"tiny", test::llama()}}, .engines = Engines::never_loaded});
  for (const std::string version : {"1.1", "1.0"}) {
    const Client client(server.port());
    client.send(post("/v1/completions", R"({"prompt":"x"})", version,
                     "X-Request-Id: waits-" + version + "\r\nConnection: close\r\n"));
    client.finish_sending();
    std::string bytes;
    for (std::string some = "-"; bytes.size() < 9 && !some.empty(); bytes += some)
      some = client.receive_some();
    EXPECT_EQ(bytes, "HTTP/" + version + " ");
    ASSERT_TRUE(comes_true([&] { return server.request("POST", "/cancel/waits-" + version).status == 200; }));
    bytes += client.receive_all();
    EXPECT_TRUE(bytes.starts_with("HTTP/" + version + " 200 OK\r\n")) << bytes;
    EXPECT_EQ(test::parse_reply(bytes).json()["choices"][0]["text"], "");
  }
}

TEST(WaitingClients, WhoCloseEndTheirRequests) {
  RunningServer server({.models = {{"tiny", test::llama()}}, .engines = Engines::never_loaded});
  for (const bool finishes_first : {false, true}) {
    {
      const Client client(server.port());
      client.send(post("/v1/completions", R"({"prompt":"x"})"));
      ASSERT_TRUE(comes_true([&] { return !is_idle(server); }));
      if (finishes_first) client.finish_sending();
    }
    EXPECT_TRUE(comes_true([&] { return is_idle(server); })) << finishes_first;
  }
}

}  // namespace
}  // namespace rf
