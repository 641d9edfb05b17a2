// A program split over backends computes what one backend computes, and says where it runs and what it cost.
#include <spdlog/sinks/ostream_sink.h>

#include <array>
#include <sstream>

#include "base/error.h"
#include "base/log.h"
#include "golden_arch.h"

namespace rf {
namespace {

struct Copies {
  int in = 0, out = 0;
};

// A reference backend that cannot run some ops and keeps its slots out of reach, as a GPU does.
class Remote : public Backend {
 public:
  explicit Remote(std::vector<Op> refused, Copies* copies = nullptr)
      : refused_(std::move(refused)), copies_(copies) {}
  std::string name() const override { return "remote"; }
  bool can(const Program&, const Step& step, std::string* why) const override {
    if (std::ranges::find(refused_, step.op) == refused_.end()) return true;
    *why = std::string("has no kernel for ") + op_name(step.op);
    return false;
  }
  MemoryNeed need(const Program& program, std::span<const int> steps,
                  const RunLimits& limits) const override {
    MemoryNeed need = inner_->need(program, steps, limits);
    need.weights = 100 * steps.size();
    return need;
  }
  void load(const Program& program, std::span<const int> steps, const RunLimits& limits,
            void (*progress)(void*, std::size_t, std::size_t), void* context) override {
    inner_->load(program, steps, limits, nullptr, nullptr);
    for (std::size_t i = 1; i <= steps.size(); ++i) progress(context, 100 * i, 100 * steps.size());
  }
  std::unique_ptr<Run> prepare(int first, int last) override { return inner_->prepare(first, last); }
  void run(Run& run, const Batch& batch, std::span<Stat> stats) override { inner_->run(run, batch, stats); }
  void read(SlotId slot, int rows, float* out) override {
    if (copies_ != nullptr) ++copies_->out;
    inner_->read(slot, rows, out);
  }
  void write(SlotId slot, int rows, const float* in) override {
    if (copies_ != nullptr) ++copies_->in;
    inner_->write(slot, rows, in);
  }
  const float* host(SlotId) const override { return nullptr; }
  std::size_t page_bytes() const override { return inner_->page_bytes(); }
  void read_page(int page, std::byte* out) override { inner_->read_page(page, out); }
  void write_page(int page, const std::byte* in) override { inner_->write_page(page, in); }

 private:
  std::vector<Op> refused_;
  Copies* copies_;
  std::unique_ptr<Backend> inner_ = make_reference();
};

test::Backends one() {
  test::Backends backends;
  backends.push_back(make_reference());
  return backends;
}

test::Backends two(std::vector<Op> refused = {}) {
  test::Backends backends;
  backends.push_back(std::make_unique<Remote>(std::move(refused)));
  backends.push_back(make_reference());
  return backends;
}

const test::GoldenModel& model() {
  static const test::GoldenModel loaded("qwen3");
  return loaded;
}

// Splits at every step, at layers, around attention, and at both ends.
const std::vector<test::Prefer> splits{
    [](const Step& step) { return static_cast<int>(step.op) % 2; },
    [](const Step& step) { return (static_cast<int>(step.op) + 1) % 2; },
    [](const Step& step) { return step.layer >= 1 ? 1 : 0; },
    [](const Step& step) { return step.op == Op::attend ? 1 : 0; },
    [](const Step& step) { return step.op == Op::logits ? 0 : 1; },
    [](const Step& step) { return step.op == Op::logits ? 1 : -1; },
};

TEST(Plan, AnySplitGivesTheSameLogits) {
  const std::vector<std::int32_t> ids = model().ids(0);
  const std::vector<float> expected = test::Feeder(model().program, one, 5).feed_in_pieces(ids, 7);
  ASSERT_LE(test::max_difference(expected, model().expected(0)),
            model().facts["tolerance"]["exact_max_abs"].get<float>());
  for (std::size_t i = 0; i < splits.size(); ++i) {
    test::Feeder feeder(model().program, [] { return two(); }, 5, KvType::f32, splits[i]);
    EXPECT_EQ(test::max_difference(feeder.feed_in_pieces(ids, 7), expected), 0) << "split " << i;
    for (std::size_t s = 0; s < model().program.steps.size(); ++s) {
      const int wish = splits[i](model().program.steps[s]);
      EXPECT_EQ(feeder.plan().place(static_cast<int>(s)), std::max(wish, 0)) << "split " << i;
    }
  }
}

TEST(Plan, FallsBackToABackendThatCan) {
  test::Feeder feeder(model().program, [] { return two({Op::attend, Op::embed}); }, 16);
  for (std::size_t s = 0; s < model().program.steps.size(); ++s) {
    const Op op = model().program.steps[s].op;
    EXPECT_EQ(feeder.plan().place(static_cast<int>(s)), op == Op::attend || op == Op::embed ? 1 : 0);
  }
  EXPECT_LE(test::max_difference(feeder.feed_in_pieces(model().ids(0), 64), model().expected(0)),
            model().facts["tolerance"]["exact_max_abs"].get<float>());
}

// Each kind of step that a device cannot do is told of once, by name and reason.
TEST(Plan, TellsOnceWhatADeviceCannotDo) {
  std::ostringstream lines;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("lines", std::make_shared<spdlog::sinks::ostream_sink_mt>(lines)));
  {
    const Plan plan(model().program, two({Op::attend, Op::embed}), {});
  }
  spdlog::set_default_logger(before);
  const std::string text = lines.str();
  for (const char* op : {"attend", "embed"}) {
    const std::string line =
        fmt::format("{0} steps run on reference instead of remote (remote: has no kernel for {0})", op);
    const std::size_t at = text.find(line);
    EXPECT_NE(at, std::string::npos) << text;
    EXPECT_EQ(text.find(line, at + 1), std::string::npos) << text;
  }
}

// What several steps of a run read crosses the border once.
TEST(Plan, CopiesOncePerBorder) {
  Copies copies;
  // Attention on the other place: what it reads goes over, and its result back, in each layer.
  test::Backends backends;
  backends.push_back(std::make_unique<Remote>(std::vector<Op>{}, &copies));
  backends.push_back(make_reference());
  const test::GoldenModel& golden = model();
  RunLimits limits{
      .batch = {.rows = 8, .wanted = 1, .sequences = 1, .pages = 4}, .page_tokens = 4, .cache_pages = 4};
  Plan plan(golden.program, std::move(backends), limits,
            [](const Step& step) { return step.op == Op::attend ? 1 : 0; });
  Batch batch(limits.batch);
  const std::array<std::int32_t, 2> pages{0, 1};
  batch.add_sequence(pages);
  for (int i = 0; i < 5; ++i) batch.add_row(i + 3, i, i == 4);
  plan.run(batch);
  const auto layers = static_cast<int>(
      std::ranges::count_if(golden.program.steps, [](const Step& step) { return step.op == Op::attend; }));
  ASSERT_GT(layers, 1);
  EXPECT_EQ(copies.out, layers);
  EXPECT_EQ(copies.in, layers);
}

TEST(Plan, NamesTheStepNobodyCanRun) {
  test::Backends backends;
  backends.push_back(std::make_unique<Remote>(std::vector<Op>{Op::gate_up}));
  try {
    const Plan plan(model().program, std::move(backends), {});
    FAIL() << "placed";
  } catch (const Error& error) {
    for (const char* part : {"gate_up of layer 0", "'blk.0.ffn_gate.weight' F32", "remote: has no kernel"})
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
  EXPECT_THROW(Plan(model().program, {}, {}), Error);
  EXPECT_THROW(Plan(model().program, one(), {}, [](const Step&) { return 1; }), Error);
}

TEST(Plan, MemoryIsTheSumOverBackends) {
  const RunLimits limits{.batch = {.rows = 8, .wanted = 2, .sequences = 1, .pages = 4},
                         .kv = KvType::f32,
                         .page_tokens = 4,
                         .cache_pages = 6};
  const Plan whole(model().program, one(), limits);
  const Plan split(model().program, two(), limits, splits[2]);
  EXPECT_EQ(split.memory().cache, whole.memory().cache);
  EXPECT_EQ(whole.memory().cache, 6 * whole.page_bytes());
  EXPECT_EQ(split.page_bytes(), whole.page_bytes());
  EXPECT_GT(split.memory().activations, whole.memory().activations);
}

TEST(Plan, PagesAreMovedWithAllTheirParts) {
  test::Feeder feeder(model().program, [] { return two(); }, 16, KvType::f32, splits[2]);
  const std::vector<std::int32_t> ids = model().ids(0), other = model().ids(1);
  const std::vector<float> whole = feeder.feed({{0, 0, ids}});
  feeder.feed({{0, 0, std::span(ids).first(40)}});
  std::vector<std::byte> first(feeder.plan().page_bytes()), second = first;
  const int pages = feeder.plan().limits().batch.pages;
  feeder.plan().read_page(pages - 1, first.data());
  feeder.plan().read_page(pages - 2, second.data());
  feeder.feed({{0, 0, std::span(ids).last(40)}});
  feeder.plan().write_page(pages - 1, first.data());
  feeder.plan().write_page(pages - 2, second.data());
  feeder.feed({{0, 32, std::span(ids).subspan(32, 8)}});
  const std::vector<float> rest = feeder.feed({{0, 40, std::span(ids).subspan(40)}});
  EXPECT_EQ(test::max_difference(rest, std::span(whole).last(rest.size())), 0);
}

TEST(Plan, ProgressCountsOverAllBackends) {
  test::Backends backends;
  for (int i = 0; i < 2; ++i) backends.push_back(std::make_unique<Remote>(std::vector<Op>{}));
  std::vector<std::size_t> seen;
  const std::size_t total = 100 * model().program.steps.size();
  const Plan plan(model().program, std::move(backends), {}, splits[2], [&](std::size_t done, std::size_t of) {
    EXPECT_EQ(of, total);
    seen.push_back(done);
  });
  ASSERT_EQ(seen.size(), model().program.steps.size());
  EXPECT_TRUE(std::ranges::is_sorted(seen));
  EXPECT_EQ(seen.back(), total);
  EXPECT_EQ(plan.memory().weights, total);
}

TEST(Plan, StatsOnlyWhenAskedFor) {
  test::Feeder feeder(model().program, [] { return two(); }, 16, KvType::f32, splits[0]);
  const std::vector<std::int32_t> ids = model().ids(1);
  const auto calls = [&] {
    std::uint64_t sum = 0;
    for (const Stat& stat : feeder.plan().stats()) sum += stat.calls;
    return sum;
  };
  feeder.feed_in_pieces(ids, 64);
  EXPECT_EQ(calls(), 0u);
  feeder.plan().measure(true);
  feeder.feed_in_pieces(ids, 64);
  feeder.feed_in_pieces(ids, 64);
  EXPECT_EQ(calls(), 2 * model().program.steps.size());
  EXPECT_GT(feeder.plan().stats()[1].ns, 0);
  EXPECT_EQ(feeder.plan().stats()[1].flops, 2.0 * 2 * 13 * 64 * (128 + 64 + 64));
  feeder.plan().measure(true);
  EXPECT_EQ(calls(), 0u);
}

}  // namespace
}  // namespace rf
