// Embeddings, as OpenAI's API and Ollama's give them.
#include <openssl/evp.h>

#include <memory>
#include <utility>

#include "server/request_fields.h"
#include "server/service.h"

namespace rf {
namespace {

constexpr std::size_t most_inputs = 2048;

std::string base64(const std::vector<float>& values) {
  const auto bytes = static_cast<int>(values.size() * sizeof(float));
  std::string text(static_cast<std::size_t>((bytes + 2) / 3 * 4 + 1), '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(values.data()), bytes);
  text.resize(static_cast<std::size_t>(length));
  return text;
}

// One request: what it gave so far. Its jobs hold it.
struct Embedding {
  ExchangePtr exchange;
  ServedModel* model;
  ErrorStyle style;
  bool as_base64;
  int tokens = 0;
  std::size_t left = 0;
  std::vector<std::uint64_t> jobs{};
  std::vector<std::vector<float>> vectors{};

  void stop() {
    for (const std::uint64_t job : std::exchange(jobs, {})) model->engine.forget(job);
  }
  void done() const {
    if (style == ErrorStyle::ollama)
      return exchange->respond(
          {.body = dump({{"model", model->name}, {"embeddings", vectors}, {"prompt_eval_count", tokens}})});
    Json data = Json::array();
    for (std::size_t i = 0; i < vectors.size(); ++i)
      data.push_back({{"object", "embedding"},
                      {"index", i},
                      {"embedding", as_base64 ? Json(base64(vectors[i])) : Json(vectors[i])}});
    exchange->respond({.body = dump({{"object", "list"},
                                     {"model", model->name},
                                     {"data", data},
                                     {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}})});
  }
};

// `input`: a text, a list of texts, ids, or a list of ids.
std::vector<std::vector<std::int32_t>> inputs_of(const ModelText& text, const Fields& fields,
                                                 const char* name) {
  const Json* input = fields.find(name);
  if (input == nullptr) fail_field(name, "expected a string or an array, found nothing");
  if (input->is_string()) return {text.tokenizer().encode(input->get_ref<const std::string&>())};
  if (!input->is_array() || input->empty())
    fail_field(name, "expected a string or an array that is not empty, found {}", found_text(*input));
  if (input->front().is_number()) return {read_tokens(text, name, *input)};
  std::vector<std::vector<std::int32_t>> all;
  for (const Json& each : *fields.array(name, most_inputs)) {
    if (!each.is_string() && !each.is_array())
      fail_field(name, "expected strings, found {}", found_text(each));
    all.push_back(each.is_string() ? text.tokenizer().encode(each.get_ref<const std::string&>())
                                   : read_tokens(text, name, each));
  }
  return all;
}

void begin(const std::shared_ptr<Embedding>& embedding, std::vector<std::vector<std::int32_t>> inputs) {
  embedding->left = inputs.size();
  embedding->vectors.resize(inputs.size());
  embedding->exchange->on_gone = [embedding] { embedding->stop(); };
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    embedding->tokens += static_cast<int>(inputs[i].size());
    EmbedJob job;
    job.tokens = std::move(inputs[i]);
    job.done = [embedding, i](std::vector<float> values) {
      embedding->vectors[i] = std::move(values);
      if (--embedding->left > 0) return;
      embedding->exchange->on_gone = nullptr;
      embedding->done();
    };
    job.failed = [embedding](int status, const std::string& what) {
      embedding->stop();
      embedding->exchange->on_gone = nullptr;
      embedding->exchange->respond(
          error_response(embedding->style, ApiError(status, what, status == 400 ? "input" : "")));
    };
    embedding->jobs.push_back(embedding->model->engine.submit(std::move(job)));
  }
}

void embeddings(Service& service, const ExchangePtr& exchange, ErrorStyle style) {
  service.with_model(
      exchange, style, [&service, exchange, style](ServedModel& model, std::shared_ptr<const Json> body) {
        service.check_queue(model);
        struct Made {
          std::vector<std::vector<std::int32_t>> inputs;
          std::string format;
          std::optional<ApiError> error;
        };
        const auto made = std::make_shared<Made>();
        const auto work = [made, body, text = model.text] {
          try {
            const Fields fields(*body);
            made->inputs = inputs_of(*text, fields, "input");
            made->format = fields.text("encoding_format", 64).value_or("float");
            if (made->format != "float" && made->format != "base64")
              fail_field("encoding_format", "expected float or base64, found '{}'", made->format);
          } catch (const ApiError& error) {
            made->error = error;
          }
        };
        service.loop().background(work, [made, exchange, style, &model] {
          if (exchange->gone()) return;
          if (made->error) return exchange->respond(error_response(style, *made->error));
          const auto embedding = std::make_shared<Embedding>(Embedding{
              .exchange = exchange, .model = &model, .style = style, .as_base64 = made->format == "base64"});
          begin(embedding, std::move(made->inputs));
        });
      });
}

}  // namespace

void add_embedding_routes(std::vector<Route>& routes) {
  for (const auto& [path, style] :
       {std::pair("/v1/embeddings", ErrorStyle::openai), std::pair("/api/embed", ErrorStyle::ollama)})
    routes.push_back(
        {"POST", path, style, false, [style](Service& s, const ExchangePtr& e) { embeddings(s, e, style); }});
}

}  // namespace rf
