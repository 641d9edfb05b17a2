// Runs the golden models (tests/golden/arch/README.md) on any backend and compares every logit.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "golden.h"
#include "model/model.h"
#include "plan/plan.h"
#include "sanitized.h"

namespace rf::test {

using Backends = std::vector<std::unique_ptr<Backend>>;
using MakeBackends = std::function<Backends()>;
using Prefer = std::function<int(const Step&)>;

inline constexpr int longest_sequence = 96;  // tokens

// A golden folder's model and what is known of it.
struct GoldenModel {
  // `path`: another file with the same weights, "" for the folder's own.
  explicit GoldenModel(const std::string& folder, const std::string& path = "")
      : file(Gguf::open(path.empty() ? golden("arch/" + folder + "/model.gguf") : path)),
        spec(read_spec(file)),
        program(record(file, spec, std::min(longest_sequence, spec.context))) {
    std::ifstream(golden("arch/" + folder + "/tokens.json")) >> facts;
    const std::string causal = golden("arch/" + folder + "/logits.bin");
    std::ifstream in(causal.empty() ? golden("arch/" + folder + "/hidden.bin") : causal, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    logits.resize(bytes.size() / sizeof(float));
    std::memcpy(logits.data(), bytes.data(), bytes.size());
  }
  bool embeds() const { return program.embedding.has_value(); }
  std::vector<std::int32_t> ids(std::size_t sequence) const { return facts["sequences"][sequence]["ids"]; }
  // Elements of a row of the result: logits, or a hidden state.
  std::size_t width() const {
    return static_cast<std::size_t>(program.slots[static_cast<std::size_t>(program.logits)].width);
  }
  // The reference's rows of a sequence, [ids, width].
  std::span<const float> expected(std::size_t sequence) const {
    const nlohmann::json& s = facts["sequences"][sequence];
    return std::span(logits).subspan(s["offset_rows"].get<std::size_t>() * width(),
                                     s["ids"].size() * width());
  }

  Gguf file;
  Spec spec;
  Program program;
  nlohmann::json facts;
  std::vector<float> logits;
};

inline std::int32_t argmax(std::span<const float> row) {
  return static_cast<std::int32_t>(std::ranges::max_element(row) - row.begin());
}

// A plan that is fed with pieces of sequences, with their pages in descending order.
class Feeder {
 public:
  static constexpr int longest = longest_sequence;

  Feeder(const Program& program, const MakeBackends& make, int page_tokens, KvType kv = KvType::f32,
         const Prefer& prefer = {})
      : pages_((longest + page_tokens - 1) / page_tokens),
        plan_(program, make(),
              {.batch = {.rows = 2 * longest, .wanted = 2 * longest, .sequences = 2, .pages = pages_},
               .kv = kv,
               .page_tokens = page_tokens,
               .cache_pages = 2 * pages_,
               .state_slots = 3},  // 2: spare
              prefer),
        batch_(plan_.limits().batch) {}

  struct Piece {
    int sequence;  // 0 or 1
    int position;  // of the first token
    std::span<const std::int32_t> tokens;
  };
  // The logits of every row, [tokens of all pieces, vocab].
  std::vector<float> feed(const std::vector<Piece>& pieces) {
    batch_.clear();
    for (const Piece& piece : pieces) {
      std::vector<std::int32_t> table(static_cast<std::size_t>(pages_));
      for (int i = 0; i < pages_; ++i)
        table[static_cast<std::size_t>(i)] = (piece.sequence + 1) * pages_ - 1 - i;
      batch_.add_sequence(table, state_of(piece.sequence));
      for (std::size_t i = 0; i < piece.tokens.size(); ++i)
        batch_.add_row(piece.tokens[i], piece.position + static_cast<int>(i), true);
    }
    plan_.run(batch_);
    const std::span<const float> logits = plan_.logits(batch_.wanted());
    return {logits.begin(), logits.end()};
  }
  // A whole sequence as number 0, `rows` tokens at a time.
  std::vector<float> feed_in_pieces(std::span<const std::int32_t> ids, std::size_t rows) {
    std::vector<float> all;
    for (std::size_t at = 0; at < ids.size(); at += rows) {
      const std::vector<float> some =
          feed({{0, static_cast<int>(at), ids.subspan(at, std::min(rows, ids.size() - at))}});
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }
  std::vector<std::int32_t> greedy(const std::vector<std::int32_t>& prompt, std::size_t count) {
    const auto vocab = static_cast<std::size_t>(plan_.program().vocab);
    std::vector<float> logits = feed({{0, 0, prompt}});
    std::vector<std::int32_t> ids;
    for (;;) {
      ids.push_back(argmax(std::span(logits).last(vocab)));
      if (ids.size() == count) return ids;
      logits = feed({{0, static_cast<int>(prompt.size() + ids.size()) - 1, std::span(ids).last(1)}});
    }
  }
  Plan& plan() { return plan_; }
  static int state_of(int sequence) { return 1 - sequence; }

 private:
  int pages_;
  Plan plan_;
  Batch batch_;
};

// The largest absolute difference; infinite when a value is NaN or the sizes differ.
inline float max_difference(std::span<const float> got, std::span<const float> expected) {
  if (got.size() != expected.size()) return INFINITY;
  float largest = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const float difference = std::abs(got[i] - expected[i]);
    if (!(difference <= largest)) largest = std::isnan(difference) ? INFINITY : difference;
  }
  return largest;
}

struct GoldenOptions {
  bool exact = false;  // hold the backend to what plain float32 arithmetic reaches
  std::vector<int> page_tokens = sanitized ? std::vector{5} : std::vector{1, 5, 16, 64};
  Prefer prefer{};
};

// Compares one sequence's logits and, where the golden data calls them exact, their argmax.
inline void expect_logits(const GoldenModel& model, std::size_t sequence, std::span<const float> got,
                          const GoldenOptions& options) {
  const nlohmann::json& tolerance = model.facts["tolerance"];
  const float allowed = tolerance[options.exact ? "exact_max_abs" : "max_abs"];
  EXPECT_LE(max_difference(got, model.expected(sequence)), allowed);
  if (model.embeds() || (!options.exact && tolerance["greedy"] != "exact")) return;
  const auto vocab = static_cast<std::size_t>(model.program.vocab);
  for (std::size_t r = 0; r * vocab < got.size(); ++r)
    EXPECT_EQ(argmax(got.subspan(r * vocab, vocab)),
              model.facts["sequences"][sequence]["argmax"][r].get<int>())
        << "row " << r;
}

// Every sequence in one batch, in pieces and token by token (but for encoders), beside another one, and every
// greedy continuation, for each page size.
inline void run_golden(const GoldenModel& model, const MakeBackends& make,
                       const GoldenOptions& options = {}) {
  const std::size_t sequences = model.facts["sequences"].size();
  ASSERT_GT(sequences, 1u);
  for (const int page_tokens : options.page_tokens) {
    Feeder feeder(model.program, make, page_tokens, KvType::f32, options.prefer);
    for (std::size_t s = 0; s < sequences; ++s)
      for (const std::size_t rows : {std::size_t{Feeder::longest}, std::size_t{7}, std::size_t{1}}) {
        if (!model.program.causal && rows < Feeder::longest) continue;
        SCOPED_TRACE(testing::Message()
                     << "sequence " << s << ", " << rows << " rows a batch, pages of " << page_tokens);
        expect_logits(model, s, feeder.feed_in_pieces(model.ids(s), rows), options);
      }
    SCOPED_TRACE(testing::Message() << "pages of " << page_tokens);
    const std::vector<std::int32_t> first = model.ids(0), second = model.ids(1);
    const std::vector<float> both = feeder.feed({{0, 0, first}, {1, 0, second}});
    const auto border = first.size() * model.width();
    ASSERT_GT(both.size(), border);
    expect_logits(model, 0, std::span(both).first(border), options);
    expect_logits(model, 1, std::span(both).subspan(border), options);
    if (model.embeds() || (!options.exact && model.facts["tolerance"]["greedy"] != "exact")) continue;
    for (const nlohmann::json& greedy : model.facts["greedy"])
      EXPECT_EQ(feeder.greedy(greedy["prompt"], greedy["ids"].size()),
                greedy["ids"].get<std::vector<std::int32_t>>());
  }
}

// A sequence goes on from a copy of its states, and from their bytes, with the same bits; others' do not
// matter.
inline void expect_states_kept(const GoldenModel& model, const MakeBackends& make) {
  Feeder feeder(model.program, make, 16);
  const std::vector<std::int32_t> ids = model.ids(0), other = model.ids(1);
  const std::vector<float> whole = feeder.feed({{0, 0, ids}});
  const auto rest = [&] {
    const std::vector<float> got = feeder.feed({{0, 20, std::span(ids).subspan(20)}});
    EXPECT_EQ(std::memcmp(got.data(), whole.data() + 20 * model.width(), got.size() * sizeof(float)), 0);
  };
  constexpr int spare = 2;
  feeder.feed({{0, 0, std::span(ids).first(20)}});
  feeder.plan().copy_state(Feeder::state_of(0), spare);
  std::vector<std::byte> bytes(feeder.plan().state_bytes());
  EXPECT_GT(bytes.size(), 0u);
  feeder.plan().read_state(spare, bytes.data());
  rest();
  feeder.plan().copy_state(spare, Feeder::state_of(0));
  rest();
  feeder.feed({{1, 0, other}});
  feeder.plan().write_state(Feeder::state_of(0), bytes.data());
  rest();
}

// The golden folders that this build's architectures should run.
inline std::vector<std::string> golden_folders() {
  std::set<std::string> folders;
  const std::vector<std::string> known = supported_architectures();
  for (const std::string& root : golden_roots()) {
    if (!std::filesystem::exists(root + "/arch")) continue;
    for (const auto& entry : std::filesystem::directory_iterator(root + "/arch")) {
      if (!std::filesystem::exists(entry.path() / "model.gguf")) continue;
      const Gguf file = Gguf::open((entry.path() / "model.gguf").string());
      const auto architecture = file.get<std::string>("general.architecture");
      if (std::ranges::find(known, architecture) != known.end())
        folders.insert(entry.path().filename().string());
    }
  }
  return {folders.begin(), folders.end()};
}

// A folder's name as GoogleTest lets it stand in a test's name.
inline std::string golden_test_name(const testing::TestParamInfo<std::string>& folder) {
  std::string name = folder.param;
  std::ranges::replace_if(name, [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
}

}  // namespace rf::test
