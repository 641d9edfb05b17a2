// What a plan shows an observer is what the model's weights are multiplied with.
#include "golden_arch.h"
#include "tensor/decode.h"

namespace rf {
namespace {

struct Seen {
  std::size_t matrices = 0;
  std::map<std::size_t, std::vector<std::vector<float>>> rows;  // of each matrix that saw any
};
using Watched = std::map<std::string, Seen>;

Watched watch(const test::GoldenModel& model, const test::MakeBackends& make,
              const test::Prefer& prefer = {}) {
  Watched seen;
  test::Feeder feeder(model.program, make, 16, KvType::f32, prefer);
  feeder.plan().observe(
      [&](WeightId id, std::int64_t matrix, std::int64_t matrices, std::span<const float> row) {
        Seen& of = seen[model.program.weights[static_cast<std::size_t>(id)].name];
        of.matrices = static_cast<std::size_t>(matrices);
        of.rows[static_cast<std::size_t>(matrix)].emplace_back(row.begin(), row.end());
      });
  const std::vector<std::int32_t> ids = model.ids(0);
  const std::vector<float> watched = feeder.feed({{0, 0, ids}});
  feeder.plan().observe({});
  EXPECT_EQ(watched, feeder.feed({{0, 0, ids}})) << "observing changed the result";
  return seen;
}

test::Backends reference() {
  test::Backends backends;
  backends.push_back(make_reference());
  return backends;
}

TEST(Observe, EveryMatrixSeesEveryRow) {
  for (const char* folder : {"llama", "gemma2", "gpt2", "mixtral", "llama4", "deepseek-v2-lite", "mamba2",
                             "qwen3-next", "granitehybrid"}) {
    if (test::golden(std::string("arch/") + folder + "/model.gguf").empty()) continue;
    SCOPED_TRACE(folder);
    const test::GoldenModel model(folder);
    const std::size_t rows = model.ids(0).size();
    const Watched seen = watch(model, reference);
    for (const Step& step : model.program.steps) {
      if (step.op == Op::embed) continue;
      for (int i = 0; i < linear_count(step.op); ++i) {
        if (step.linear[i].weight == none) continue;
        const Weight& weight = model.program.weights[static_cast<std::size_t>(step.linear[i].weight)];
        SCOPED_TRACE(weight.name);
        ASSERT_TRUE(seen.contains(weight.name));
        const Seen& of = seen.at(weight.name);
        std::size_t count = 0;
        for (const auto& [matrix, all] : of.rows) {
          EXPECT_LT(matrix, of.matrices);
          count += all.size();
          for (const auto& row : all)
            EXPECT_EQ(row.size(), static_cast<std::size_t>(weight.tensor.columns()));
        }
        const bool routed = step.op == Op::experts_up || step.op == Op::experts_down;
        const int each = routed ? step.routing.used : step.op == Op::heads ? step.heads : 1;
        EXPECT_EQ(count, rows * static_cast<std::size_t>(each));
      }
    }
  }
}

// The first norm by hand: a token's embedding over its root mean square, times the norm's weights.
TEST(Observe, InputsAreNormed) {
  const test::GoldenModel model("llama");
  const Watched seen = watch(model, reference);
  const Tensor& table = model.file.tensor("token_embd.weight");
  const auto* weight = reinterpret_cast<const float*>(model.file.tensor("blk.0.attn_norm.weight").data);
  const std::vector<std::int32_t> ids = model.ids(0);
  std::vector<float> x(static_cast<std::size_t>(table.columns()));
  for (std::size_t r = 0; r < ids.size(); ++r) {
    decode_row(table.type, table.row(ids[r]), table.columns(), x.data());
    double squares = 0;
    for (const float value : x) squares += static_cast<double>(value) * static_cast<double>(value);
    const double scale =
        1 / std::sqrt(squares / static_cast<double>(x.size()) + static_cast<double>(model.spec.norm_eps));
    for (const char* name : {"blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight"})
      for (std::size_t k = 0; k < x.size(); ++k)
        EXPECT_NEAR(static_cast<double>(seen.at(name).rows.at(0)[r][k]),
                    static_cast<double>(x[k]) * scale * static_cast<double>(weight[k]), 1e-5);
  }
}

// What the down projection sees is what gate and up make of what they see.
TEST(Observe, ExpertsSeeTheirOwnRows) {
  if (test::golden("arch/mixtral/model.gguf").empty()) GTEST_SKIP() << "skip: no golden mixtral";
  const test::GoldenModel model("mixtral");
  const Watched seen = watch(model, reference);
  const Tensor& gate = model.file.tensor("blk.0.ffn_gate_exps.weight");
  const Tensor& up = model.file.tensor("blk.0.ffn_up_exps.weight");
  std::vector<float> weights(static_cast<std::size_t>(gate.columns()));
  const auto dot = [&](const Tensor& tensor, std::int64_t row, const std::vector<float>& x) {
    decode_row(tensor.type, tensor.row(row), tensor.columns(), weights.data());
    double sum = 0;
    for (std::size_t k = 0; k < x.size(); ++k)
      sum += static_cast<double>(weights[k]) * static_cast<double>(x[k]);
    return sum;
  };
  int compared = 0;
  for (const auto& [expert, rows] : seen.at("blk.0.ffn_gate_exps.weight").rows)
    for (std::size_t r = 0; r < rows.size(); ++r)
      for (std::int64_t o = 0; o < gate.shape[1]; o += 7, ++compared) {
        const std::int64_t row = static_cast<std::int64_t>(expert) * gate.shape[1] + o;
        const double g = dot(gate, row, rows[r]), u = dot(up, row, rows[r]);
        EXPECT_NEAR(
            static_cast<double>(
                seen.at("blk.0.ffn_down_exps.weight").rows.at(expert)[r][static_cast<std::size_t>(o)]),
            g / (1 + std::exp(-g)) * u, 1e-4);
      }
  EXPECT_GT(compared, 100);
}

}  // namespace
}  // namespace rf
