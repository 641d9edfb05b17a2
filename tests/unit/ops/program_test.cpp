// Program checks name the step and the tensor; costs count what a step reads and multiplies.
#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "unit/ops/tiny.h"

namespace rf {
namespace {

using test::Tiny;

// embed 5 tokens -> x[4] -> qkv[8] -> attend[4] -> x += W a -> gate_up[6] -> x += W g -> logits[5].
Tiny whole() {
  Tiny t;
  const auto matrix = [&](const char* name, std::int64_t columns, std::int64_t rows) {
    return t.weight(name, columns, std::vector<float>(static_cast<std::size_t>(columns * rows), 0.5f));
  };
  const SlotId x = t.slot(4), qkv = t.slot(8), attention = t.slot(4), gate = t.slot(6);
  t.program.vocab = 5;
  t.program.logits = t.slot(5, true);
  t.program.caches.push_back({.layer = 0, .kv_heads = 1, .key_dim = 2, .value_dim = 2});
  const WeightId table = matrix("table", 4, 5);
  t.step(Op::embed, none, x).linear[0].weight = table;
  Step& s1 = t.step(Op::qkv, x, qkv);
  s1.layer = 0;
  s1.norm = {.kind = Norm::Kind::rms, .weight = matrix("norm", 4, 1), .eps = 1e-5f};
  s1.linear[0] = {matrix("q", 4, 4), matrix("q_bias", 4, 1)};
  s1.linear[1].weight = matrix("k", 4, 2);
  s1.linear[2].weight = matrix("v", 4, 2);
  Step& s2 = t.step(Op::attend, qkv, attention);
  s2.layer = 0;
  s2.attention = {
      .heads = 2, .kv_heads = 1, .key_dim = 2, .value_dim = 2, .scale = 1, .rope = {}, .cache = 0};
  s2.attention.q_norm = {.kind = Norm::Kind::rms, .weight = matrix("q_norm", 2, 1)};
  s2.attention.rope.dims = 2;
  s2.attention.rope.factors = matrix("factors", 1, 1);
  Step& s3 = t.step(Op::matmul, attention, x);
  s3.linear[0].weight = matrix("o", 4, 4);
  s3.add = x;
  Step& s4 = t.step(Op::gate_up, x, gate);
  s4.linear[0].weight = matrix("gate", 4, 6);
  s4.linear[1].weight = matrix("up", 4, 6);
  Step& s5 = t.step(Op::matmul, gate, x);
  s5.linear[0].weight = matrix("down", 6, 4);
  s5.add = x;
  t.step(Op::logits, x, t.program.logits).linear[0].weight = table;
  return t;
}

TEST(Check, AcceptsAWholeProgram) {
  EXPECT_NO_THROW(check(whole().program));
}

struct Fault {
  const char* name;
  std::function<void(Program&)> make;
  std::vector<const char*> said;
};

class CheckFaults : public testing::TestWithParam<Fault> {};

Tensor& tensor(Program& p, const std::string& name) {
  for (Weight& weight : p.weights)
    if (weight.name == name) return weight.tensor;
  fail("no weight {}", name);
}

TEST_P(CheckFaults, AreNamed) {
  Tiny t = whole();
  GetParam().make(t.program);
  try {
    check(t.program);
    FAIL() << "accepted";
  } catch (const Error& error) {
    for (const char* part : GetParam().said)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

const Fault faults[] = {
    {"NoWeight", [](Program& p) { p.steps[1].linear[0].weight = none; }, {"step 1 (qkv, layer 0)", "-1"}},
    {"WeightOutOfRange", [](Program& p) { p.steps[3].linear[0].weight = 99; }, {"step 3 (matmul)", "99"}},
    {"Columns",
     [](Program& p) { tensor(p, "gate").shape[0] = 3; },
     {"step 4 (gate_up)", "'gate'", "[3, 6]", "[4, 6]"}},
    {"Rows", [](Program& p) { tensor(p, "up").shape[1] = 7; }, {"step 4", "'up'", "[4, 7]", "[4, 6]"}},
    {"Vocabulary", [](Program& p) { tensor(p, "table").shape[1] = 4; }, {"step 0 (embed)", "'table'"}},
    {"QkvRows",
     [](Program& p) { tensor(p, "k").shape[1] = 1; },
     {"step 1 (qkv, layer 0)", "7 rows", "width 8"}},
    {"Bias", [](Program& p) { tensor(p, "q_bias").shape[0] = 3; }, {"step 1", "'q_bias'", "F32 [4]"}},
    {"NormType",
     [](Program& p) { tensor(p, "norm").type = Type::f16; },
     {"step 1", "'norm'", "F16", "F32 [4]"}},
    {"NormLength",
     [](Program& p) { tensor(p, "q_norm").shape[0] = 4; },
     {"step 2 (attend, layer 0)", "'q_norm'"}},
    {"Factors", [](Program& p) { tensor(p, "factors").shape[1] = 2; }, {"step 2", "'factors'", "F32 [1]"}},
    {"Type", [](Program& p) { tensor(p, "o").type = Type::i32; }, {"step 3", "'o'", "I32"}},
    {"Data", [](Program& p) { tensor(p, "o").data = nullptr; }, {"step 3", "'o'", "no data"}},
    {"RowBytes", [](Program& p) { tensor(p, "o").row_bytes = 8; }, {"step 3", "'o'", "no data"}},
    {"NoInput", [](Program& p) { p.steps[4].x = none; }, {"step 4 (gate_up)", "input slot is -1"}},
    {"NoOutput", [](Program& p) { p.steps[4].out = 77; }, {"step 4 (gate_up)", "output slot is 77"}},
    {"ReadBeforeWritten",
     [](Program& p) { p.steps.erase(p.steps.begin() + 2); },
     {"step 2 (matmul)", "before"}},
    {"InPlace", [](Program& p) { p.steps[3].out = p.steps[3].x; }, {"step 3 (matmul)", "writes its input"}},
    {"AddWidth", [](Program& p) { p.steps[3].add = 1; }, {"step 3 (matmul)", "width 8"}},
    {"AddElsewhere", [](Program& p) { p.steps[4].add = 0; }, {"step 4 (gate_up)", "only matmul"}},
    {"WantedRows", [](Program& p) { p.slots[4].wanted_rows = false; }, {"step 6 (logits)", "wanted"}},
    {"HeadCounts", [](Program& p) { p.steps[2].attention.kv_heads = 0; }, {"step 2 (attend, layer 0)", "0"}},
    {"HeadWidths",
     [](Program& p) { p.steps[2].attention.heads = 3; },
     {"step 2", "widths 8 and 4", "10 and 6"}},
    {"RopeDims", [](Program& p) { p.steps[2].attention.rope.dims = 4; }, {"step 2", "4 rotated"}},
    {"NoCache", [](Program& p) { p.steps[2].attention.cache = 1; }, {"step 2", "cache is 1"}},
    {"CacheShape", [](Program& p) { p.caches[0].value_dim = 4; }, {"step 2", "cache 0"}},
    {"NoLogits", [](Program& p) { p.steps.pop_back(); }, {"logits slot 4"}},
};
INSTANTIATE_TEST_SUITE_P(All, CheckFaults, testing::ValuesIn(faults),
                         [](const auto& fault) { return fault.param.name; });

// A key of two elements for two query heads with weights, of which each row chooses three positions;
// attention to these.
Tiny chosen() {
  Tiny t = whole();
  const SlotId row = t.slot(8), seen = t.slot(3);
  t.program.caches.push_back({.layer = 0, .kv_heads = 1, .key_dim = 2, .key_is_value = true});
  Step project = t.program.steps[3], index;
  project.out = row;
  project.x = 0;
  project.add = none;
  project.linear[0].weight = t.weight("indexed", 4, std::vector<float>(32, 0.5f));
  index.op = Op::index;
  index.x = row;
  index.out = seen;
  index.attention = {.heads = 2, .kv_heads = 1, .key_dim = 2, .rope = {}, .key_is_value = true, .cache = 1};
  index.selection = {.blocks = 3, .weighted = true};
  t.program.steps[2].side = seen;
  t.program.steps[2].selection = index.selection;
  t.program.steps.insert(t.program.steps.begin() + 2, {project, index});
  return t;
}

TEST(Check, ChosenPositions) {
  EXPECT_NO_THROW(check(chosen().program));
  const std::pair<std::function<void(Program&)>, const char*> wrong[] = {
      {[](Program& p) { p.steps[3].selection.blocks = 0; }, "0 blocks"},
      {[](Program& p) { p.steps[3].selection.block = 0; }, "blocks of 0"},
      {[](Program& p) { p.steps[3].selection.local = 4; }, "the last 4"},
      {[](Program& p) { p.steps[3].selection.groups = 3; }, "3 groups"},
      {[](Program& p) { p.steps[3].selection.weighted = false; }, "widths 8 and 3"},
      {[](Program& p) { p.steps[3].attention.cache = 0; }, "cache 0"},
      {[](Program& p) { p.steps[4].selection.blocks = 2; }, "width 3"},
      {[](Program& p) { p.steps[4].selection.groups = 2; }, "2 groups"},
      {[](Program& p) { p.steps[4].attention.window = 2; }, "window 2"},
      {[](Program& p) { p.steps[4].side = 77; }, ""},
  };
  for (const auto& [make, said] : wrong) {
    Tiny t = chosen();
    make(t.program);
    try {
      check(t.program);
      ADD_FAILURE() << "accepted, expected " << said;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(said), std::string::npos) << error.what();
    }
  }
}

TEST(Cost, CountsWeightsOnceAndMultipliesEveryRow) {
  const Tiny t = whole();
  const auto cost = [&](std::size_t step, int rows, int wanted, double context) {
    return cost_of(t.program, t.program.steps[step], rows, wanted, context, 2);
  };
  EXPECT_EQ(cost(0, 3, 1, 6).bytes, 3 * 16);  // three rows of the table
  EXPECT_EQ(cost(0, 3, 1, 6).flops, 0);
  EXPECT_EQ(cost(1, 3, 1, 6).bytes, 4 * (4 + 16 + 4 + 8 + 8));  // norm, q, its bias, k, v
  EXPECT_EQ(cost(1, 3, 1, 6).flops, 2 * 3 * 32);
  EXPECT_EQ(cost(2, 3, 1, 6).bytes, 6 * 4 * 2);  // a key and a value of two elements each
  EXPECT_EQ(cost(2, 3, 1, 6).flops, 2 * 6 * 2 * 4);
  EXPECT_EQ(cost(4, 3, 1, 6).flops, 2 * 3 * 48);
  EXPECT_EQ(cost(6, 3, 2, 6).flops, 2 * 2 * 20);
  EXPECT_EQ(cost(6, 3, 0, 6).bytes, 0);
}

TEST(Cost, WindowBoundsTheContext) {
  Tiny t = whole();
  t.program.steps[2].attention.window = 4;
  EXPECT_EQ(cost_of(t.program, t.program.steps[2], 2, 0, 100, 4).bytes, 2 * 4 * 4 * 4);
}

TEST(Cost, SelectionBoundsTheContext) {
  const Tiny t = chosen();
  EXPECT_EQ(cost_of(t.program, t.program.steps[3], 2, 0, 100, 4).bytes, 100 * 2 * 4);
  EXPECT_EQ(cost_of(t.program, t.program.steps[3], 2, 0, 100, 4).flops, 2 * 100 * 2 * 2);
  EXPECT_EQ(cost_of(t.program, t.program.steps[4], 2, 0, 100, 4).bytes, 2 * 3 * 4 * 4);
}

}  // namespace
}  // namespace rf
