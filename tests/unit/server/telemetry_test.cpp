// Metrics as text, traces as OTLP JSON.
#include <gtest/gtest.h>

#include "base/clock.h"
#include "server/metrics.h"
#include "server/traces.h"

namespace rf {
namespace {

TEST(Metrics, CountWhatTheyAreToldOf) {
  Metrics metrics;
  metrics.answered("/v1/completions", 200, 0.02);
  metrics.answered("/v1/completions", 200, 3);
  metrics.answered("/health", 503, 0.001);
  metrics.measured(1e9);
  metrics.step("tiny", {.ns = 2'000'000, .rows = 4, .decoding = 4, .bytes = 1e6, .events = {}});
  metrics.step("tiny", {.ns = 2'000'000, .rows = 4, .decoding = 1, .events = {}});
  metrics.step("tiny", {.ns = 2'000'000, .rows = 4, .decoding = 0, .events = {}});
  metrics.step("tiny", {.events = {}});
  metrics.restarted("tiny");
  metrics.first_token(0.004);
  metrics.next_token(0.002);
  metrics.next_token(400);
  metrics.finished(10, 6, 1);
  const std::string text =
      metrics.text({.running = 1, .waiting = 2, .pages = 10, .pages_free = 7, .connections = 3});
  for (const char* line : {"rocmforge_requests_total{route=\"/v1/completions\",status=\"200\"} 2",
                           "rocmforge_requests_total{route=\"/health\",status=\"503\"} 1",
                           "rocmforge_engine_restarts_total{model=\"tiny\"} 1",
                           "rocmforge_tokens_total 3",
                           "rocmforge_prompt_tokens_total 10",
                           "rocmforge_prompt_tokens_cached_total 6",
                           "rocmforge_time_to_first_token_seconds_count 1",
                           "rocmforge_time_to_first_token_seconds_bucket{le=\"0.005\"} 1",
                           "rocmforge_time_to_first_token_seconds_bucket{le=\"0.0025\"} 0",
                           "rocmforge_inter_token_seconds_count 2",
                           "rocmforge_inter_token_seconds_bucket{le=\"+Inf\"} 2",
                           "rocmforge_generation_seconds_sum 1",
                           "rocmforge_step_seconds_count{kind=\"decode\",model=\"tiny\"} 1",
                           "rocmforge_step_seconds_count{kind=\"mixed\",model=\"tiny\"} 1",
                           "rocmforge_step_seconds_count{kind=\"prefill\",model=\"tiny\"} 1",
                           "rocmforge_cache_pages_used 3",
                           "rocmforge_requests_running 1",
                           "rocmforge_requests_waiting 2",
                           "rocmforge_connections 3",
                           "# TYPE rocmforge_requests_total counter",
                           "# TYPE rocmforge_step_seconds histogram"})
    EXPECT_NE(text.find(std::string(line) + "\n"), std::string::npos) << line << "\n" << text;
  EXPECT_EQ(text.find("nan"), std::string::npos);
  EXPECT_EQ(metrics.totals().requests, 3);
  EXPECT_DOUBLE_EQ(metrics.totals().bandwidth_percent, 50);
}

const std::string trace_id = "0af7651916cd43dd8448eb211c80319c", parent_id = "b7ad6b7169203331";

Json spans_of(const RequestTrace& trace) {
  Loop loop;
  Traces traces(loop, "");
  traces.add(trace);
  const Json all = traces.json();
  EXPECT_EQ(all["resourceSpans"][0]["resource"]["attributes"][0]["key"], "service.name");
  return all["resourceSpans"][0]["scopeSpans"][0]["spans"];
}

TEST(Traces, SpansOfARequest) {
  const std::int64_t now = now_ns();
  const RequestTrace trace{.id = "req-1",
                           .parent = "00-" + trace_id + "-" + parent_id + "-01",
                           .route = "/v1/completions",
                           .model = "tiny",
                           .started_ns = now - 3'000'000,
                           .first_ns = now - 1'000'000,
                           .ended_ns = now,
                           .prompt_tokens = 5,
                           .cached_tokens = 2,
                           .tokens = 9};
  const Json spans = spans_of(trace);
  ASSERT_EQ(spans.size(), 3u);
  EXPECT_EQ(spans[0]["name"], "/v1/completions");
  EXPECT_EQ(spans[0]["parentSpanId"], parent_id);
  EXPECT_EQ(spans[0]["kind"], 2);
  for (const Json& span : spans) {
    EXPECT_EQ(span["traceId"], trace_id);
    EXPECT_EQ(span["spanId"].get<std::string>().size(), 16u);
    EXPECT_TRUE(span["startTimeUnixNano"].is_string());  // 64-bit numbers are texts in OTLP's JSON
  }
  EXPECT_EQ(spans[1]["parentSpanId"], spans[0]["spanId"]);
  const auto time = [&](std::size_t i, const char* key) {
    return std::stoll(spans[i][key].get<std::string>());
  };
  EXPECT_NEAR(static_cast<double>(time(0, "endTimeUnixNano") - time(0, "startTimeUnixNano")), 3e6, 1e6);
  EXPECT_NEAR(static_cast<double>(time(1, "endTimeUnixNano") - time(1, "startTimeUnixNano")), 2e6, 1e6);
  Json attributes;
  for (const Json& each : spans[0]["attributes"]) attributes[each["key"].get<std::string>()] = each["value"];
  EXPECT_EQ(attributes["gen_ai.usage.input_tokens"]["intValue"], "5");
  EXPECT_EQ(attributes["rocmforge.request.id"]["stringValue"], "req-1");
}

TEST(Traces, ParentsThatAreNoneAndAnswersWithoutATokenAreFine) {
  for (const std::string parent :
       {"", "x", "00-zzz7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-1-2-3"}) {
    const Json spans = spans_of(
        {.id = "a", .parent = parent, .route = "/generate", .model = "", .started_ns = 1, .ended_ns = 2});
    ASSERT_EQ(spans.size(), 2u);
    EXPECT_FALSE(spans[0].contains("parentSpanId"));
    EXPECT_EQ(spans[0]["traceId"].get<std::string>().size(), 32u);
  }
}

TEST(Traces, OldSpansGo) {
  Loop loop;
  Traces traces(loop, "");
  for (int i = 0; i < 600; ++i)
    traces.add({.id = std::to_string(i),
                .parent = "",
                .route = "/x",
                .model = "",
                .started_ns = 1,
                .first_ns = 1,
                .ended_ns = 2});
  const Json spans = traces.json()["resourceSpans"][0]["scopeSpans"][0]["spans"];
  EXPECT_EQ(spans.size(), 512u);
  EXPECT_EQ(spans.back()["name"], "decode");
}

}  // namespace
}  // namespace rf
