// Documents in the order in which they answer a query, in the form that Jina's and Cohere's APIs share
// (jina.ai/reranker, docs.cohere.com/reference/rerank).
#include <algorithm>
#include <cmath>
#include <numeric>

#include "server/embed_task.h"

namespace rf {
namespace {

constexpr ErrorStyle rerank_errors = ErrorStyle::openai;
constexpr std::size_t most_documents = 1024, most_text = 8 << 20;

// Texts, or objects with a text.
std::vector<std::string> read_documents(const Fields& fields) {
  const Json* list = fields.array("documents", most_documents);
  if (list == nullptr || list->empty())
    fail_field("documents", "expected an array of texts, found {}",
               list == nullptr ? "nothing" : "an empty one");
  std::vector<std::string> documents;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string where = fmt::format("documents[{}]", i);
    const Json& each = (*list)[i];
    if (each.is_object())
      documents.push_back(Fields(each, where).required_text("text", most_text));
    else if (each.is_string() && each.get_ref<const std::string&>().size() <= most_text)
      documents.push_back(each.get<std::string>());
    else
      fail_field(where, "expected a text of at most {} bytes, found {}", most_text, found_text(each));
  }
  return documents;
}

// A classifier of one label gives a score without bounds, one of several labels their probabilities, that of
// relevance first.
double relevance(const std::vector<float>& scores, bool raw) {
  const auto score = static_cast<double>(scores.front());
  return raw || scores.size() > 1 ? score : 1 / (1 + std::exp(-score));
}

EmbedTask rerank(const ModelText& text, const std::string& model, const Json& body) {
  const Fields fields(body);
  const std::string query = fields.required_text("query", most_text);
  std::vector<std::string> documents = read_documents(fields);
  const auto most = static_cast<std::size_t>(fields.integer("top_n", 1, 1 << 20).value_or(1 << 20));
  const bool told = fields.boolean("return_documents").value_or(false);
  const bool raw = fields.boolean("raw_scores").value_or(false);
  EmbedTask task{.pooling = Pooling::rank, .field = "documents"};
  for (const std::string& document : documents) task.inputs.push_back(text.encode_pair(query, document));
  if (!told) documents.clear();
  task.answer = [=](const auto& vectors, int tokens) {
    std::vector<std::size_t> order(vectors.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
      const float x = vectors[a].front(), y = vectors[b].front();
      return x != y ? x > y : a < b;
    });
    order.resize(std::min(order.size(), most));
    Json results = Json::array();
    for (const std::size_t i : order) {
      results.push_back({{"index", i}, {"relevance_score", relevance(vectors[i], raw)}});
      if (told) results.back()["document"] = {{"text", documents[i]}};
    }
    return HttpResponse{.body = dump({{"object", "list"},
                                      {"model", model},
                                      {"results", std::move(results)},
                                      {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}})};
  };
  return task;
}

}  // namespace

void add_rerank_routes(std::vector<Route>& routes) {
  for (const char* path : {"/v1/rerank", "/rerank"})
    routes.push_back({"POST", path, rerank_errors, false,
                      [](Service& s, const ExchangePtr& e) { run_embed_task(s, e, rerank_errors, rerank); }});
}

}  // namespace rf
