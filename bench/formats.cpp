// The speed of each format's dot on each instruction set: one row of activations and one thread, weights that
// come from memory. Prints, after the runs, a table of GB/s of the file's bytes and of the ratio to Q8_0.
// Formats that are spread in memory (tensor/tiles.h) are measured compact as well. RF_CACHED=1: weights come
// from the second-level cache instead. RF_THREADS=n: n threads at once, each with weights of its own.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "cpu/cpu.h"
#include "cpu/isa.h"
#include "cpu/memory.h"
#include "random_data.h"

namespace {

using namespace rf;

constexpr std::int64_t columns = 4096;
// Of the matrix: beyond what caches hold, or well within them.
std::size_t matrix_bytes() {
  return std::getenv("RF_CACHED") != nullptr ? std::size_t{256} << 10 : std::size_t{192} << 20;
}

// Tiles of random weights: one tile's worth, repeated.
class Weights {
 public:
  Weights(Type type, Room room) {
    Tensor tensor{.type = type, .shape = {columns, 16, 1, 1}, .row_bytes = row_bytes(type, columns)};
    test::KeptMemory file(tensor.bytes());
    tensor.data = file.data();
    test::Random random("bench");
    test::fill_random(random, tensor, file.data());
    tensor.shape[1] = static_cast<std::int64_t>(matrix_bytes() / tensor.bytes()) * 16;
    tiles_ = tiled(tensor, room);
    file_bytes_ = tensor.bytes();
    memory_ = Arena(tiles_.bytes());
    auto* to = reinterpret_cast<std::uint8_t*>(memory_.data());
    write_tile(tensor, tiles_, 0, to);
    for (int t = 1; t < tiles_.tiles(); ++t)
      std::memcpy(to + static_cast<std::size_t>(t) * tiles_.tile_bytes, to, tiles_.tile_bytes);
    tiles_.data = to;
  }
  const TiledWeight& tiles() const { return tiles_; }
  std::int64_t file_bytes() const { return static_cast<std::int64_t>(file_bytes_); }

 private:
  TiledWeight tiles_;
  Arena memory_;
  std::size_t file_bytes_ = 0;
};

void one_row(benchmark::State& state, Type type, Room room, const Kernels& kernels) {
  const Weights weights(type, room);
  constexpr std::size_t blocks = columns / 32;
  std::vector<std::int8_t> codes(32 * blocks);
  std::vector<float> scale(blocks), values(columns), out(16);
  std::vector<std::int32_t> sums(2 * blocks), eights(2 * blocks);
  const PackedRows in{.rows = 1,
                      .blocks = blocks,
                      .codes = codes.data(),
                      .scale = scale.data(),
                      .sums = sums.data(),
                      .eights = eights.data(),
                      .values = values.data()};
  test::Random random("activations");
  const std::vector<float> x = random.gauss(columns);
  kernels.pack(x.data(), columns, {.norm = {}, .quantise = true, .keep = true}, 0, in);
  std::vector<std::uint8_t> scratch(kernels.scratch_bytes(weights.tiles()));
  for (auto _ : state)
    for (int t = 0; t < weights.tiles().tiles(); ++t) {
      kernels.tile_matmul(weights.tiles(), t, in, 1, scratch.data(), out.data());
      benchmark::DoNotOptimize(out.data());
    }
  state.SetBytesProcessed(state.iterations() * weights.file_bytes());
}

// Remembers the best run of each benchmark.
class Table : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      const auto found = run.counters.find("bytes_per_second");
      if (found == run.counters.end() || run.run_type != Run::RT_Iteration) continue;
      double& best = speed_[run.run_name.function_name];
      best = std::max(best, found->second.value / 1e9);
    }
  }
  void print(const std::vector<std::string>& formats, const std::vector<std::string>& isas) {
    std::printf("\n| format |");
    for (const std::string& isa : isas) std::printf(" %s GB/s | of Q8_0 |", isa.c_str());
    std::printf("\n| --- |");
    for (std::size_t i = 0; i < isas.size(); ++i) std::printf(" --- | --- |");
    for (const std::string& format : formats) {
      std::printf("\n| %s |", format.c_str());
      for (const std::string& isa : isas)
        std::printf(" %.1f | %.2f |", speed_[format + "/" + isa],
                    speed_[format + "/" + isa] / speed_["Q8_0/" + isa]);
    }
    std::printf("\n");
  }

 private:
  std::map<std::string, double> speed_;
};

}  // namespace

int main(int argc, char** argv) {
  const char* wanted_threads = std::getenv("RF_THREADS");
  const int threads = wanted_threads != nullptr ? std::max(std::atoi(wanted_threads), 1) : 1;
  std::vector<std::string> formats;
  for (std::uint32_t id = 0; id < 64; ++id) {
    const TypeInfo* info = find_type(id);
    if (info == nullptr || !can_tile(info->type) || info->type == Type::f64) continue;
    const Tensor one{.type = info->type, .shape = {columns, 16, 1, 1}};
    const bool spreads = tiled(one, Room::spread).type != tiled(one).type;
    for (const Room room : {Room::spread, Room::file}) {
      if (room == Room::file && !spreads) continue;
      formats.push_back(std::string(info->name) + (room == Room::file ? " compact" : ""));
      for (const std::string& isa : cpu_isas()) {
        auto* run = benchmark::RegisterBenchmark((formats.back() + "/" + isa).c_str(), one_row, info->type,
                                                 room, std::cref(choose_kernels(isa)))
                        ->Unit(benchmark::kMillisecond);
        if (threads > 1) run->Threads(threads)->UseRealTime();
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  Table table;
  benchmark::RunSpecifiedBenchmarks(&table);
  table.print(formats, cpu_isas());
  return 0;
}
