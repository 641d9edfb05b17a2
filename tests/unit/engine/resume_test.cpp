// An answer that another engine goes on with, who goes first, and what processes tell each other.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "engine/message.h"
#include "engine_run.h"

namespace rf {
namespace {

using test::prompt_of;
using test::request_of;
using test::run;
using test::samplings;
using test::Seen;
using test::Tokens;

Engine load(EngineOptions options) {
  options.context = 128;
  return test::load_reference("qwen3", options);
}

TEST(Resume, TheRestIsThatOfTheUninterruptedAnswer) {
  for (const SamplerOptions& sampling : samplings()) {
    const Request request = request_of(9, 5, sampling);
    Engine first = load({.page_tokens = 8});
    std::vector<Event> events;
    const std::uint64_t id = first.submit(request);
    std::vector<float> surprises;
    Seen whole;
    while (first.step(events)) {
      for (const Event& event : events)
        if (event.request == id && event.token >= 0) {
          whole.tokens.push_back(event.token);
          whole.texts.push_back(event.text);
          surprises.push_back(event.surprise);
        }
      events.clear();
    }
    ASSERT_EQ(whole.tokens.size(), 24u);
    for (const std::size_t given : {std::size_t{1}, std::size_t{8}, std::size_t{23}}) {
      Request rest = request;
      rest.given.assign(whole.tokens.begin(), whole.tokens.begin() + static_cast<std::ptrdiff_t>(given));
      rest.surprise = surprises[given - 1];
      Engine second = load({.page_tokens = 8});
      const Seen seen = run(second, rest);
      EXPECT_EQ(seen.tokens,
                Tokens(whole.tokens.begin() + static_cast<std::ptrdiff_t>(given), whole.tokens.end()));
      EXPECT_EQ(seen.texts, std::vector<std::string>(whole.texts.begin() + static_cast<std::ptrdiff_t>(given),
                                                     whole.texts.end()));
      EXPECT_EQ(seen.finish, Finish::length);
    }
  }
}

TEST(Resume, RefusesAnAnswerThatWasOver) {
  Engine engine = load({});
  Request request = request_of(4, 1, {});
  request.given = prompt_of(24, 2);
  EXPECT_THROW(engine.submit(request), Error);
  request.given = {1, 2, 99999};
  EXPECT_THROW(engine.submit(request), Error);
}

TEST(Invariance, AloneAndAmongSixteenOthersToTheLastBit) {
  test::expect_invariance(
      [](const EngineOptions& options) { return test::load_reference("qwen3", options); });
}

TEST(Scheduling, ASharedBeginningIsReadOnce) {
  Engine engine = load({.parallel = 8, .page_tokens = 8, .batch_rows = 16});
  for (int i = 0; i < 8; ++i) {
    Request request = request_of(64, 3, {});
    request.prompt.push_back(i);
    engine.submit(request);
  }
  std::vector<Event> events;
  std::map<std::uint64_t, int> cached;
  while (engine.step(events))
    for (const Event& event : events) cached[event.request] = event.prompt_cached;
  EXPECT_EQ(cached.begin()->second, 0);
  for (auto at = std::next(cached.begin()); at != cached.end(); ++at) EXPECT_EQ(at->second, 64);
}

TEST(Scheduling, PrioritiesGoFirst) {
  Engine engine = load({.parallel = 1});
  std::vector<std::uint64_t> ids;
  for (const auto& [priority, rank] : {std::pair(0, 2), {0, 1}, {5, 9}, {0, 1}}) {
    Request request = request_of(5, 1, {});
    request.priority = priority;
    request.rank = static_cast<std::uint64_t>(rank);
    ids.push_back(engine.submit(request));
  }
  std::vector<Event> events;
  while (engine.step(events)) {
  }
  Tokens order;
  for (const Event& event : events)
    if (event.finish != Finish::unfinished)
      order.push_back(static_cast<std::int32_t>(std::ranges::find(ids, event.request) - ids.begin()));
  EXPECT_EQ(order, (Tokens{2, 1, 3, 0}));
}

TEST(Message, RoundTrip) {
  message::Submit submit{
      .id = 7, .request = request_of(5, 3, samplings()[6]), .constraint = {1, {"root ::= \"a\""}}};
  submit.request.stop = {"x", "yz"};
  submit.request.given = {1, 2, 3};
  submit.request.sampling.logit_bias = {{3, -1.0f}};
  const std::string bytes = message::encode(submit);
  const auto [length, kind] = message::decode_header(bytes);
  EXPECT_EQ(kind, message::Kind::submit);
  EXPECT_EQ(length + message::header_bytes, bytes.size());
  const std::string_view payload = std::string_view(bytes).substr(message::header_bytes);
  EXPECT_EQ(message::encode(message::decode<message::Submit>(payload)), bytes);
  for (std::size_t cut = 0; cut < payload.size(); ++cut)
    EXPECT_THROW(message::decode<message::Submit>(payload.substr(0, cut)), Error) << cut;
  EXPECT_THROW(message::decode<message::Cancel>(payload), Error);
}

}  // namespace
}  // namespace rf
