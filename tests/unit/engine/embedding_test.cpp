// Embeddings through the engine, against what the published models give.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "engine/embedder.h"
#include "engine/engine.h"
#include "engine_run.h"
#include "golden.h"

namespace rf {
namespace {

using test::error_of;
using test::load_exact;
using test::Tokens;
using Values = std::vector<float>;

nlohmann::json facts_of(const std::string& model) {
  std::ifstream file(test::golden("arch/" + model + "/tokens.json"));
  return nlohmann::json::parse(file);
}

// The embeddings of all requests, which run side by side.
std::vector<Values> run(Engine& engine, const std::vector<EmbeddingRequest>& requests) {
  std::map<std::uint64_t, Values> found;
  std::vector<std::uint64_t> ids;
  for (const EmbeddingRequest& request : requests) ids.push_back(engine.submit(request));
  std::vector<Event> events;
  while (engine.step(events)) {
    for (Event& event : events)
      if (event.finish != Finish::unfinished) {
        EXPECT_EQ(event.finish, Finish::end_of_text);
        EXPECT_TRUE(found.try_emplace(event.request, std::move(event.embedding)).second);
      }
    events.clear();
  }
  EXPECT_TRUE(engine.idle());
  std::vector<Values> ordered;
  for (const std::uint64_t id : ids) ordered.push_back(found.at(id));
  return ordered;
}

void expect_near(const Values& got, const Values& expected, float allowed) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], allowed) << i;
}

class EmbeddingGolden : public testing::TestWithParam<std::string> {};

// Each text alone and beside others, plain and of unit length, and at any size of the batch that it can have.
TEST_P(EmbeddingGolden, PooledAsRecorded) {
  const nlohmann::json facts = facts_of(GetParam());
  const float allowed = facts["tolerance"]["exact_max_abs"];
  for (const int batch_rows : {0, 7, 64})
    for (const int page_tokens : {5, 64}) {
      Engine engine = load_exact(
          GetParam(), {.context = 64, .parallel = 3, .page_tokens = page_tokens, .batch_rows = batch_rows});
      std::vector<EmbeddingRequest> requests;
      std::vector<Values> expected;
      for (int round = 0; round < 2; ++round)
        for (const nlohmann::json& sequence : facts["sequences"])
          for (const bool normalise : {false, true}) {
            const std::string pooling = sequence["pooling"];
            requests.push_back({.tokens = sequence["ids"],
                                .pooling = pooling_by_name(pooling == "lasttoken" ? "last" : pooling),
                                .normalise = normalise});
            expected.push_back(sequence[normalise ? "pooled_l2" : "pooled"]);
          }
      if (batch_rows == 7 && error_of([&] { run(engine, requests); }) != "") continue;  // an encoder
      const std::vector<Values> got = run(engine, requests);
      for (std::size_t i = 0; i < got.size(); ++i) expect_near(got[i], expected[i], allowed);
    }
}

// The folders whose models embed.
std::vector<std::string> embedding_folders() {
  std::set<std::string> folders;
  for (const std::string& root : test::golden_roots()) {
    if (!std::filesystem::exists(root + "/arch")) continue;
    for (const auto& entry : std::filesystem::directory_iterator(root + "/arch"))
      if (std::filesystem::exists(entry.path() / "hidden.bin"))
        folders.insert(entry.path().filename().string());
  }
  return {folders.begin(), folders.end()};
}

INSTANTIATE_TEST_SUITE_P(Models, EmbeddingGolden, testing::ValuesIn(embedding_folders()),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

// A classifier's scores, which are what such a model gives unless it is asked for something else.
TEST(Embedding, Rank) {
  for (const char* model : {"bert-rank", "bert-pair"}) {
    SCOPED_TRACE(model);
    const nlohmann::json facts = facts_of(model);
    Engine engine = load_exact(model, {.context = 64, .parallel = 3});
    EXPECT_EQ(engine.pooling(), Pooling::rank);
    for (const nlohmann::json& sequence : facts["sequences"])
      expect_near(run(engine, {{.tokens = sequence["ids"]}})[0], sequence["scores"], 1e-4f);
  }
}

// Every pooling follows from the rows that pooling none gives.
TEST(Embedding, EveryPooling) {
  for (const char* model : {"modern-bert", "qwen3-embedding", "llama"}) {
    SCOPED_TRACE(model);
    Engine engine = load_exact(model, {.context = 64, .embed = true});
    const Tokens ids = facts_of(model)["sequences"][1]["ids"];
    const auto with = [&](Pooling pooling) {
      return run(engine, {{.tokens = ids, .pooling = pooling, .normalise = false}})[0];
    };
    const Values rows = with(Pooling::off);
    const std::size_t width = rows.size() / ids.size();
    ASSERT_EQ(rows.size(), width * ids.size());
    expect_near(with(Pooling::cls), {rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(width)}, 1e-6f);
    expect_near(with(Pooling::last), {rows.end() - static_cast<std::ptrdiff_t>(width), rows.end()}, 1e-6f);
    Values mean(width);
    for (std::size_t i = 0; i < rows.size(); ++i) mean[i % width] += rows[i] / static_cast<float>(ids.size());
    expect_near(with(Pooling::mean), mean, 1e-5f);
    EXPECT_NE(error_of([&] { with(Pooling::rank); }).find("classifier"), std::string::npos);
  }
}

TEST(Embedding, LongTextsAreRefusedByEncodersAlone) {
  const Tokens ids = facts_of("jina-bert-v2")["sequences"][0]["ids"];
  Engine encoder = load_exact("jina-bert-v2", {.batch_rows = 16});
  const std::string error = error_of([&] { encoder.submit(EmbeddingRequest{.tokens = ids}); });
  EXPECT_NE(error.find("at most 16"), std::string::npos) << error;
  EXPECT_TRUE(encoder.idle());
  Engine causal = load_exact("qwen3-embedding", {.context = 64, .batch_rows = 16});
  EXPECT_EQ(run(causal, {{.tokens = ids}})[0].size(), 32u);
  EXPECT_NE(error_of([&] { causal.submit(EmbeddingRequest{.tokens = Tokens(65, 1)}); }), "");
}

// What does not fit the kind of the model is refused by name.
TEST(Embedding, WrongKindOfModel) {
  Engine embeds = load_exact("qwen3-embedding", {.context = 64});
  EXPECT_TRUE(embeds.embeds());
  EXPECT_EQ(embeds.pooling(), Pooling::last);
  EXPECT_NE(error_of([&] { embeds.submit(Request{.prompt = {1, 2}}); }).find("embeds text"),
            std::string::npos);
  EXPECT_NE(error_of([&] { embeds.evaluate({1, 2}, [](int, int, const float*) {}); }), "");
  Engine generates = load_exact("llama", {.context = 64});
  EXPECT_FALSE(generates.embeds());
  EXPECT_NE(error_of([&] { generates.submit(EmbeddingRequest{.tokens = {1, 2}}); }).find("generate"),
            std::string::npos);
  EXPECT_NE(error_of([] { pooling_by_name("max"); }).find("found max"), std::string::npos);
}

// Cancelling gives no embedding and lets go of everything.
TEST(Embedding, Cancel) {
  Engine engine = load_exact("jina-bert-v2", {.context = 64});
  const Tokens ids = facts_of("jina-bert-v2")["sequences"][0]["ids"];
  const std::uint64_t id = engine.submit(EmbeddingRequest{.tokens = ids});
  engine.cancel(id);
  std::vector<Event> events;
  while (engine.step(events)) {
  }
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].finish, Finish::cancelled);
  EXPECT_TRUE(events[0].embedding.empty());
}

}  // namespace
}  // namespace rf
