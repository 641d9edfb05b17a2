#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/file.h"
#include "app/load.h"
#include "app/metadata.h"
#include "app/model_summary.h"
#include "app/output_model.h"
#include "app/place.h"
#include "app/table.h"
#include "base/error.h"
#include "model/model.h"
#include "plan/placement.h"
#include "tensor/decode.h"

namespace rf {
namespace {

void dump_tensor(const Gguf& file, const std::string& name, const std::string& path) {
  const Tensor& tensor = file.tensor(name);
  refuse_to_overwrite(file, path);
  OutputFile out(path);
  std::vector<float> row(static_cast<std::size_t>(tensor.columns()));
  for (std::int64_t r = 0; r < tensor.rows(); ++r) {
    decode_row(tensor.type, tensor.row(r), tensor.columns(), row.data());
    out.write(row.data(), row.size() * sizeof(float));
  }
  out.close();
}

std::vector<std::int64_t> shape_of(const Tensor& tensor) {
  std::size_t dimensions = 4;
  while (dimensions > 1 && tensor.shape[dimensions - 1] == 1) --dimensions;
  return {tensor.shape.begin(), tensor.shape.begin() + static_cast<std::ptrdiff_t>(dimensions)};
}

void print_json(const Gguf& file) {
  nlohmann::ordered_json metadata = nlohmann::ordered_json::object();
  for (const auto& [key, value] : file.metadata()) metadata[std::string(key)] = metadata_json(file, key);
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  for (const auto& [name, tensor] : file.tensors())
    tensors.push_back({{"name", name},
                       {"type", type_info(tensor.type).name},
                       {"shape", shape_of(tensor)},
                       {"bytes", tensor.bytes()}});
  std::puts(to_text({{"path", file.path()},
                     {"version", file.version()},
                     {"bytes", file.file_bytes()},
                     {"metadata", std::move(metadata)},
                     {"tensors", std::move(tensors)}},
                    1)
                .c_str());
}

void print_text(const Gguf& file) {
  const ModelSummary model = summarise(file);
  std::puts(fmt::format("{}: GGUF v{}, {}, {} tensors, {:.1f}M parameters, {}\n", file.path(), file.version(),
                        size_text(static_cast<double>(model.bytes)), file.tensors().size(),
                        static_cast<double>(model.parameters) * 1e-6, model.quant)
                .c_str());
  for (const auto& [key, value] : file.metadata())
    std::puts(fmt::format("{} = {}", key, metadata_line(file, key)).c_str());
  std::vector<std::vector<std::string>> rows{{"TENSOR", "TYPE", "SHAPE", "BYTES"}};
  for (const auto& [name, tensor] : file.tensors()) {
    std::string shape;
    for (const std::int64_t n : shape_of(tensor)) shape += (shape.empty() ? "" : " x ") + std::to_string(n);
    rows.push_back(
        {std::string(name), std::string(type_info(tensor.type).name), shape, std::to_string(tensor.bytes())});
  }
  std::puts("");
  std::fputs(table(rows, 2).c_str(), stdout);
}

std::string weights_text(const Program& program, const Step& step) {
  std::string text;
  for (const Linear& linear : step.linear)
    if (linear.weight != none) {
      const Weight& weight = program.weights[static_cast<std::size_t>(linear.weight)];
      text +=
          fmt::format("{}{} {}", text.empty() ? "" : ", ", weight.name, type_info(weight.tensor.type).name);
    }
  return text;
}

// The recorded program, where each step runs, what one decoded token costs, and what loading takes.
void print_plan(const Gguf& file, const LoadOptions& load) {
  const Spec spec = read_spec(file);
  const Program program = record(file, spec);
  const auto backends = make_backends(load);
  RunLimits limits;
  limits.kv = kv_by_name(load.kv);
  limits.page_tokens = load.page;
  limits.batch = {
      .rows = load.batch_rows > 0 ? load.batch_rows : default_batch_rows, .wanted = 1, .sequences = 1};
  const int context = load.context > 0 ? load.context : std::min(spec.context, 8192);
  limits.state_slots = 1 + (load.state_snapshots < 0 ? default_state_snapshots(1) : load.state_snapshots);
  limits.cache_pages = limits.batch.pages = (context + load.page - 1) / load.page;
  const auto prefer = preference(load);
  Placement placement(program, backends,
                      [&](const Step& step) { return backends.size() > 1 ? prefer(program, step) : -1; });
  placement.fit(limits);

  std::vector<std::vector<std::string>> rows{{"STEP", "OP", "LAYER", "ON", "WEIGHTS", "BYTES", "FLOPS"}};
  Cost total;
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    const Step& step = program.steps[i];
    const Cost cost = cost_of(program, step, 1, 1, 0, 2);
    total.bytes += cost.bytes;
    total.flops += cost.flops;
    rows.push_back({std::to_string(i), op_name(step.op), step.layer < 0 ? "" : std::to_string(step.layer),
                    backends[static_cast<std::size_t>(placement.at(static_cast<int>(i)))]->name(),
                    weights_text(program, step), fmt::format("{:.0f}", cost.bytes),
                    fmt::format("{:.0f}", cost.flops)});
  }
  std::puts("");
  std::fputs(table(rows, 5).c_str(), stdout);
  std::puts(fmt::format("\none token reads {} of weights and takes {:.1f} MFLOP", size_text(total.bytes),
                        total.flops * 1e-6)
                .c_str());
  for (std::size_t place = 0; place < backends.size(); ++place) {
    const MemoryNeed need = placement.need(static_cast<int>(place), limits);
    if (need.total() == 0) continue;
    const auto free = backends[place]->free_memory();
    std::puts(fmt::format("memory on {} at {} positions, {} cache: weights {}, cache {}, activations {}{}",
                          backends[place]->name(), context, load.kv,
                          size_text(static_cast<double>(need.weights)),
                          size_text(static_cast<double>(need.cache)),
                          size_text(static_cast<double>(need.activations)),
                          free ? fmt::format(" ({} free)", size_text(static_cast<double>(*free))) : "")
                  .c_str());
  }
}

}  // namespace

int inspect(const InspectOptions& options) {
  const Gguf file = Gguf::open(find_model(options.model));
  if (!options.tensor.empty())
    dump_tensor(file, options.tensor, options.dump);
  else if (options.json)
    print_json(file);
  else
    print_text(file);
  if (options.plan) print_plan(file, options.load);
  return 0;
}

}  // namespace rf
