// The command embed: one text, one vector.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/file.h"
#include "app/load.h"
#include "base/error.h"
#include "engine/embedder.h"

namespace rf {
namespace {

std::vector<float> run(Engine& engine, EmbeddingRequest request) {
  engine.submit(std::move(request));
  std::vector<Event> events;
  while (engine.step(events))
    for (Event& event : events)
      if (event.finish != Finish::unfinished) return std::move(event.embedding);
  fail("the model gave no embedding");
}

}  // namespace

int embed(const EmbedOptions& options) {
  LoadOptions load = options.load;
  load.embed = true;
  const std::unique_ptr<Engine> engine = load_engine(options.model, load);
  EmbeddingRequest request{.normalise = !options.no_normalize};
  request.tokens = options.tokens ? *options.tokens
                                  : engine->tokenizer().encode(options.text ? *options.text : read_file("-"));
  if (!options.pooling.empty()) request.pooling = pooling_by_name(options.pooling);
  const bool each = request.pooling.value_or(engine->pooling()) == Pooling::off;
  const std::size_t rows = each ? request.tokens.size() : 1;
  const std::vector<float> values = run(*engine, std::move(request));

  const std::size_t width = values.size() / rows;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (std::size_t r = 0; r < rows; ++r)
    list.push_back(std::vector(values.begin() + static_cast<std::ptrdiff_t>(r * width),
                               values.begin() + static_cast<std::ptrdiff_t>((r + 1) * width)));
  if (options.json) {
    std::puts(nlohmann::ordered_json({{"embedding", each ? list : list[0]}}).dump().c_str());
    return 0;
  }
  for (const auto& row : list) {
    for (std::size_t i = 0; i < row.size(); ++i)
      std::fputs(((i > 0 ? " " : "") + row[i].dump()).c_str(), stdout);
    std::putchar('\n');
  }
  return 0;
}

}  // namespace rf
