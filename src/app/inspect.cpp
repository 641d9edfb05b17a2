#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/file.h"
#include "app/load.h"
#include "app/metadata.h"
#include "app/model_summary.h"
#include "app/table.h"
#include "base/error.h"
#include "model/model.h"
#include "tensor/decode.h"

namespace rf {
namespace {

void dump_tensor(const Gguf& file, const std::string& name, const std::string& path) {
  const Tensor& tensor = file.tensor(name);
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

// The recorded program, what one decoded token costs, and what loading takes.
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

  std::vector<std::vector<std::string>> rows{{"STEP", "OP", "LAYER", "WEIGHTS", "BYTES", "FLOPS"}};
  std::vector<int> all;
  Cost total;
  for (const Step& step : program.steps) {
    const Cost cost = cost_of(program, step, 1, 1, 0, 2);
    total.bytes += cost.bytes;
    total.flops += cost.flops;
    rows.push_back({std::to_string(all.size()), op_name(step.op),
                    step.layer < 0 ? "" : std::to_string(step.layer), weights_text(program, step),
                    fmt::format("{:.0f}", cost.bytes), fmt::format("{:.0f}", cost.flops)});
    all.push_back(static_cast<int>(all.size()));
    std::string why;
    if (!backends[0]->can(program, step, &why)) rows.back().push_back(fmt::format("cannot run: {}", why));
  }
  std::puts("");
  std::fputs(table(rows, 4).c_str(), stdout);
  const MemoryNeed need = backends[0]->need(program, all, limits);
  std::puts(fmt::format("\none token reads {} of weights and takes {:.1f} MFLOP\n"
                        "memory on {} at {} positions, {} cache: weights {}, cache {}, activations {}",
                        size_text(total.bytes), total.flops * 1e-6, backends[0]->name(), context, load.kv,
                        size_text(static_cast<double>(need.weights)),
                        size_text(static_cast<double>(need.cache)),
                        size_text(static_cast<double>(need.activations)))
                .c_str());
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
