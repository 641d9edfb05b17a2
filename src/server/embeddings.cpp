// Embeddings, as OpenAI's API (platform.openai.com/docs/api-reference/embeddings) and Ollama's give them.
#include <openssl/evp.h>

#include <cmath>
#include <numeric>

#include "server/embed_task.h"

namespace rf {
namespace {

std::string base64(const std::vector<float>& values) {
  const auto bytes = static_cast<int>(values.size() * sizeof(float));
  std::string text(static_cast<std::size_t>((bytes + 2) / 3 * 4 + 1), '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(values.data()), bytes);
  text.resize(static_cast<std::size_t>(length));
  return text;
}

// The first `size` values, of unit length again: what models trained for it make smaller vectors of.
std::vector<float> shortened(std::vector<float> vector, std::size_t size) {
  if (size == 0 || size >= vector.size()) return vector;
  vector.resize(size);
  const double length = std::sqrt(std::inner_product(vector.begin(), vector.end(), vector.begin(), 0.0));
  if (length > 0)
    for (float& value : vector) value = static_cast<float>(value / length);
  return vector;
}

EmbedTask openai(const ModelText& text, const std::string& model, const Json& body) {
  const Fields fields(body);
  const std::string format = fields.text("encoding_format", 64).value_or("float");
  if (format != "float" && format != "base64")
    fail_field("encoding_format", "expected float or base64, found '{}'", format);
  const auto size = static_cast<std::size_t>(fields.integer("dimensions", 1, 1 << 20).value_or(0));
  const auto answer = [model, size, coded = format == "base64"](const auto& vectors, int tokens) {
    Json data = Json::array();
    for (std::size_t i = 0; i < vectors.size(); ++i) {
      const std::vector<float> vector = shortened(vectors[i], size);
      data.push_back({{"object", "embedding"},
                      {"index", i},
                      {"embedding", coded ? Json(base64(vector)) : Json(vector)}});
    }
    return HttpResponse{.body = dump({{"object", "list"},
                                      {"model", model},
                                      {"data", std::move(data)},
                                      {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}})};
  };
  return {.inputs = read_inputs(text, fields, "input"), .answer = answer};
}

EmbedTask ollama(const ModelText& text, const std::string& model, const Json& body) {
  const Fields fields(body);
  const auto size = static_cast<std::size_t>(fields.integer("dimensions", 1, 1 << 20).value_or(0));
  const auto answer = [model, size](const auto& vectors, int tokens) {
    Json all = Json::array();
    for (const auto& vector : vectors) all.push_back(shortened(vector, size));
    return HttpResponse{
        .body = dump({{"model", model}, {"embeddings", std::move(all)}, {"prompt_eval_count", tokens}})};
  };
  return {.inputs = read_inputs(text, fields, "input"), .answer = answer};
}

// The older route of one prompt.
EmbedTask ollama_single(const ModelText& text, const std::string&, const Json& body) {
  const Fields fields(body);
  const auto answer = [](const auto& vectors, int) {
    return HttpResponse{.body = dump({{"embedding", vectors.front()}})};
  };
  return {.inputs = {text.tokenizer().encode(fields.required_text("prompt", 64 << 20))},
          .field = "prompt",
          .answer = answer};
}

}  // namespace

void add_embedding_routes(std::vector<Route>& routes) {
  const auto add = [&](const char* path, ErrorStyle errors, MakeEmbedTask make) {
    routes.push_back({"POST", path, errors, false, [errors, make](Service& s, const ExchangePtr& e) {
                        run_embed_task(s, e, errors, make);
                      }});
  };
  add("/v1/embeddings", ErrorStyle::openai, openai);
  add("/api/embed", ErrorStyle::ollama, ollama);
  add("/api/embeddings", ErrorStyle::ollama, ollama_single);
}

}  // namespace rf
