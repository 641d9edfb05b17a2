// The commands around model files as such: pull and models.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/catalogue.h"
#include "app/commands.h"
#include "app/download.h"
#include "app/file.h"
#include "app/load.h"
#include "app/model_files.h"
#include "app/model_summary.h"
#include "app/progress.h"
#include "app/table.h"
#include "base/error.h"
#include "base/memory.h"

namespace rf {
namespace {

bool is_url(const std::string& name) {
  return name.starts_with("http://") || name.starts_with("https://");
}

std::string parameters_text(std::uint64_t count) {
  const auto number = static_cast<double>(count);
  return count >= 1'000'000'000 ? fmt::format("{:.1f}B", number * 1e-9)
                                : fmt::format("{:.0f}M", number * 1e-6);
}

}  // namespace

int pull(const PullOptions& options) {
  if (options.output.empty() && options.sha256.empty()) {
    std::puts(find_model(options.name).c_str());
    return 0;
  }
  if (!is_url(options.name)) fail("pull {}: --output and --sha256 are for URLs", options.name);
  std::string output = options.output;
  if (output.empty()) {
    const std::string path = options.name.substr(0, options.name.find_first_of("?#"));
    output = models_folder() + "/" + path.substr(path.rfind('/') + 1);
  }
  ProgressBar bar;
  download(options.name, output, {.sha256 = options.sha256, .bearer_token = "", .progress = std::ref(bar)});
  std::puts(output.c_str());
  return 0;
}

int models(const ModelsOptions& options) {
  const std::string folder = options.folder.empty() ? models_folder() : options.folder;
  if (!options.folder.empty() && !std::filesystem::is_directory(folder))
    fail("{}: is not a folder; --dir expects one with model files", folder);
  const Memory memory = machine_memory();
  std::vector<std::vector<std::string>> rows{
      {"FILE", "FAMILY", "PARAMETERS", "SIZE", "QUANT", "CONTEXT", "FITS"}};
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  const std::vector<std::string> files =
      std::filesystem::is_directory(folder) ? model_files(folder) : std::vector<std::string>();
  for (const std::string& path : files) {
    const std::string name = std::filesystem::relative(path, folder);
    try {
      const ModelSummary model = summarise(Gguf::open(path));
      const bool fits = model.bytes + model.cache_bytes < memory.total;
      rows.push_back({name, model.family, parameters_text(model.parameters),
                      size_text(static_cast<double>(model.bytes)), model.quant,
                      model.context > 0 ? std::to_string(model.context) : "-", fits ? "yes" : "no"});
      list.push_back({{"path", path},
                      {"family", model.family},
                      {"name", model.name},
                      {"parameters", model.parameters},
                      {"bytes", model.bytes},
                      {"quant", model.quant},
                      {"context", model.context},
                      {"cache_bytes", model.cache_bytes},
                      {"fits", fits}});
    } catch (const Error& error) {
      rows.push_back({name, fmt::format("unreadable: {}", error.what())});
      list.push_back({{"path", path}, {"error", error.what()}});
    }
  }
  if (options.json) {
    std::puts(to_text(list, 2).c_str());
    return 0;
  }
  if (files.empty())
    std::printf("no models in %s\n", folder.c_str());
  else
    std::fputs(table(rows, 2).c_str(), stdout);
  std::puts("\nto pull:");
  for (const CatalogueEntry& entry : catalogue())
    std::puts(fmt::format("  {}  {}", entry.name, entry.description).c_str());
  return 0;
}

}  // namespace rf
