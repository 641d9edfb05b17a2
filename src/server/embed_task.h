// EmbedTask: texts of which a model makes vectors or scores, all for one answer.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "server/service.h"

namespace rf {

struct EmbedTask {
  std::vector<std::vector<std::int32_t>> inputs{};
  std::optional<Pooling> pooling{};  // none: as the model says
  std::string field = "input";       // where the inputs stand, for messages
  // `vectors`: of each input; `tokens`: of all of them.
  std::function<HttpResponse(const std::vector<std::vector<float>>& vectors, int tokens)> answer{};
};

// `make` runs beside the loop; what it throws, and what the engine finds wrong, becomes the answer.
using MakeEmbedTask =
    std::function<EmbedTask(const ModelText& text, const std::string& model, const Json& body)>;
void run_embed_task(Service& service, const ExchangePtr& exchange, ErrorStyle errors, MakeEmbedTask make);

// A text, a list of texts, ids, or a list of ids: the ids of each.
std::vector<std::vector<std::int32_t>> read_inputs(const ModelText& text, const Fields& fields,
                                                   const char* name);

}  // namespace rf
