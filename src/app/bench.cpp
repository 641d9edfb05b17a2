#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/bench_run.h"
#include "app/commands.h"
#include "app/load.h"
#include "app/model_summary.h"
#include "app/table.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/team.h"

namespace rf {
namespace {

// Where steps run, and the bytes/s that it reads.
struct Place {
  std::string name;
  double bandwidth = 0;
};

struct Report {
  BenchShape shape;
  std::vector<double> prefill, decode;  // tokens/s of each repetition, all streams together
  PhaseSteps prefill_steps, decode_steps;
  double decode_step_bytes = 0;  // weights and cache that one decode step reads
  Place device;                  // that most steps run on
  std::vector<Place> places;     // as the plan numbers them; empty names: unused
  double load_seconds = 0;
  std::uint64_t peak_memory = 0;  // bytes
  int threads = 0;
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 != 0 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double decode_bandwidth(const Report& report) {
  return median(report.decode) / report.shape.batch * report.decode_step_bytes;
}

std::vector<Place> places_of(const Plan& plan) {
  std::vector<Place> places;
  for (std::size_t i = 0; i < plan.program().steps.size(); ++i) {
    const auto place = static_cast<std::size_t>(plan.place(static_cast<int>(i)));
    if (place >= places.size()) places.resize(place + 1);
    if (!places[place].name.empty()) continue;
    Backend& backend = plan.backend(static_cast<int>(place));
    places[place] = {backend.name(), backend.measure_bandwidth()};
  }
  return places;
}

Report measure(const BenchOptions& options) {
  Report report;
  report.shape = {options.prompt, options.decode, options.depth, options.batch};
  report.threads = options.load.threads > 0 ? options.load.threads : default_threads();
  LoadOptions load = options.load;
  // Room for the streams that begin before the last one does.
  if (load.context == 0)
    load.context = std::max(options.prompt + 2, std::max(options.depth, 1) + options.decode + 2);
  const std::unique_ptr<Engine> engine = load_engine(options.model, load, {.parallel = options.batch});
  report.load_seconds = engine->load_seconds();
  BenchRun run(*engine, report.shape);
  if (options.prompt > 0) {
    run.prefill();  // caches, page tables and clock rates settle
    for (int i = 0; i < options.repetitions; ++i) report.prefill.push_back(options.prompt / run.prefill());
    if (options.steps) report.prefill_steps = run.prefill_steps();
  }
  if (options.decode > 0) {
    for (int i = 0; i < options.repetitions; ++i) report.decode.push_back(options.batch / run.decode());
    report.decode_steps = run.decode_steps();
    // Every engine step runs every step of the program once.
    const auto program_steps = static_cast<double>(engine->plan().program().steps.size());
    if (report.decode_steps.total.calls > 0)
      report.decode_step_bytes = report.decode_steps.total.bytes /
                                 (static_cast<double>(report.decode_steps.total.calls) / program_steps);
  }
  report.peak_memory = peak_memory();  // before the measurement of bandwidth takes its own
  report.places = places_of(engine->plan());
  report.device = *std::ranges::find(report.places, engine->plan().main_backend().name(), &Place::name);
  return report;
}

std::vector<std::vector<std::string>> step_rows(const PhaseSteps& phase, const std::vector<Place>& places) {
  std::vector<std::vector<std::string>> rows{
      {"OP", "PLACE", "CALLS", "MS", "TIME %", "GB/s", "GFLOP/s", "OF BANDWIDTH %"}};
  for (const auto& [op, place, stat] : phase.steps) {
    const Place& on = places[static_cast<std::size_t>(place)];
    const double seconds = std::max(static_cast<double>(stat.ns) * 1e-9, 1e-12);
    rows.push_back({op_name(op), on.name, std::to_string(stat.calls), fmt::format("{:.2f}", seconds * 1e3),
                    fmt::format("{:.1f}", 100.0 * static_cast<double>(stat.ns) /
                                              static_cast<double>(std::max<std::int64_t>(phase.total.ns, 1))),
                    fmt::format("{:.2f}", stat.bytes / seconds * 1e-9),
                    fmt::format("{:.1f}", stat.flops / seconds * 1e-9),
                    fmt::format("{:.1f}", 100 * stat.bytes / seconds / on.bandwidth)});
  }
  return rows;
}

nlohmann::ordered_json step_json(const PhaseSteps& phase, const std::vector<Place>& places) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& [op, place, stat] : phase.steps) {
    const Place& on = places[static_cast<std::size_t>(place)];
    const double seconds = std::max(static_cast<double>(stat.ns) * 1e-9, 1e-12);
    list.push_back({{"op", op_name(op)},
                    {"place", on.name},
                    {"calls", stat.calls},
                    {"ms", seconds * 1e3},
                    {"time_fraction", static_cast<double>(stat.ns) /
                                          static_cast<double>(std::max<std::int64_t>(phase.total.ns, 1))},
                    {"bytes", stat.bytes},
                    {"flops", stat.flops},
                    {"gb_per_second", stat.bytes / seconds * 1e-9},
                    {"gflop_per_second", stat.flops / seconds * 1e-9},
                    {"bandwidth_fraction", stat.bytes / seconds / on.bandwidth}});
  }
  return list;
}

void print_json(const BenchOptions& options, const Report& report) {
  nlohmann::ordered_json result = {
      {"model", options.model},
      {"threads", report.threads},
      {"kv", options.load.kv},
      {"prompt_tokens", report.shape.prompt},
      {"decode_tokens", report.shape.decode},
      {"depth", report.shape.depth},
      {"batch", report.shape.batch},
      {"prefill_tokens_per_second", median(report.prefill)},
      {"decode_tokens_per_second", median(report.decode)},
      {"prefill_repetitions", report.prefill},
      {"decode_repetitions", report.decode},
      {"decode_bytes_per_step", report.decode_step_bytes},
      {"decode_gb_per_second", decode_bandwidth(report) * 1e-9},
      {"device", report.device.name},
      {"read_bandwidth_gb_per_second", report.device.bandwidth * 1e-9},
      {"decode_bandwidth_fraction", decode_bandwidth(report) / report.device.bandwidth},
      {"load_seconds", report.load_seconds},
      {"peak_memory_bytes", report.peak_memory},
  };
  if (options.steps) {
    result["prefill_steps"] = step_json(report.prefill_steps, report.places);
    result["decode_steps"] = step_json(report.decode_steps, report.places);
  }
  std::puts(result.dump(1).c_str());
}

std::string spread(const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return fmt::format("{:.1f} to {:.1f}", *low, *high);
}

void print_tables(const BenchOptions& options, const Report& report) {
  std::vector<std::vector<std::string>> rows{{"MEASURED", "TOKENS/S", "RANGE", "GB/s", "OF BANDWIDTH"}};
  if (!report.prefill.empty())
    rows.push_back({fmt::format("prefill of {} tokens", report.shape.prompt),
                    fmt::format("{:.1f}", median(report.prefill)), spread(report.prefill)});
  if (!report.decode.empty())
    rows.push_back(
        {fmt::format("decode of {} tokens at depth {}, {} {}", report.shape.decode, report.shape.depth,
                     report.shape.batch, report.shape.batch == 1 ? "stream" : "streams"),
         fmt::format("{:.1f}", median(report.decode)), spread(report.decode),
         fmt::format("{:.2f}", decode_bandwidth(report) * 1e-9),
         fmt::format("{:.0f}%", 100 * decode_bandwidth(report) / report.device.bandwidth)});
  std::fputs(table(rows).c_str(), stdout);
  std::puts(fmt::format("\nmedians of {}; {} threads, {} cache; loaded in {:.2f} s; peak memory {}; {} reads "
                        "{:.1f} GB/s",
                        options.repetitions, report.threads, options.load.kv, report.load_seconds,
                        size_text(static_cast<double>(report.peak_memory)), report.device.name,
                        report.device.bandwidth * 1e-9)
                .c_str());
  if (!options.steps) return;
  if (!report.prefill.empty())
    std::printf("\nsteps of prefill\n%s", table(step_rows(report.prefill_steps, report.places)).c_str());
  if (!report.decode.empty())
    std::printf("\nsteps of decode\n%s", table(step_rows(report.decode_steps, report.places)).c_str());
}

}  // namespace

int bench(const BenchOptions& options) {
  if (options.prompt == 0 && options.decode == 0) fail("bench: -p 0 and -n 0 leave nothing to measure");
  const Report report = measure(options);
  if (options.json)
    print_json(options, report);
  else
    print_tables(options, report);
  return 0;
}

}  // namespace rf
