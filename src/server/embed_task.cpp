#include "server/embed_task.h"

#include <memory>
#include <utility>

#include "server/request_fields.h"

namespace rf {
namespace {

constexpr std::size_t most_inputs = 2048, most_at_once = 32;

// One request and what it gave so far. Its jobs hold it; few of them are with the engine at a time, so that
// others find room in the queue.
struct UnderWay : std::enable_shared_from_this<UnderWay> {
  EmbedTask task{};
  ExchangePtr exchange{};
  ServedModel* model = nullptr;
  ErrorStyle errors{};
  int tokens = 0;
  std::size_t next = 0, left = 0;  // inputs: the first not submitted; those without a vector
  std::vector<std::uint64_t> jobs{};
  std::vector<std::vector<float>> vectors{};

  void start() {
    left = task.inputs.size();
    vectors.resize(left);
    for (const auto& input : task.inputs) tokens += static_cast<int>(input.size());
    exchange->on_gone = [self = shared_from_this()] { self->stop(); };
    for (std::size_t i = 0; i < most_at_once; ++i) submit();
  }
  void stop() {
    next = task.inputs.size();
    for (const std::uint64_t job : std::exchange(jobs, {})) model->engine.forget(job);
  }

 private:
  void submit() {
    if (next == task.inputs.size()) return;
    const auto self = shared_from_this();
    EmbedJob job;
    job.tokens = std::move(task.inputs[next]);
    job.pooling = task.pooling;
    job.done = [self, i = next](std::vector<float> values) { self->take(i, std::move(values)); };
    job.failed = [self](int status, const std::string& what) { self->fail(status, what); };
    ++next;
    jobs.push_back(model->engine.submit(std::move(job)));
  }
  void take(std::size_t i, std::vector<float> values) {
    vectors[i] = std::move(values);
    if (--left > 0) return submit();
    exchange->on_gone = nullptr;
    exchange->respond(task.answer(vectors, tokens));
  }
  void fail(int status, const std::string& what) {
    stop();
    exchange->on_gone = nullptr;
    exchange->respond(error_response(errors, engine_fault(status, what, task.field)));
  }
};

}  // namespace

void run_embed_task(Service& service, const ExchangePtr& exchange, ErrorStyle errors, MakeEmbedTask make) {
  service.with_model(exchange, errors,
                     [&service, exchange, errors, make = std::move(make)](ServedModel& model,
                                                                          std::shared_ptr<const Json> body) {
                       service.check_queue(model);
                       struct Made {
                         EmbedTask task;
                         std::optional<ApiError> error;
                       };
                       const auto made = std::make_shared<Made>();
                       const auto work = [made, make, body, text = model.text, name = model.name] {
                         made->error = fault_of([&] { made->task = make(*text, name, *body); });
                       };
                       service.loop().background(work, [made, exchange, errors, &model] {
                         if (exchange->gone()) return;
                         if (made->error) return exchange->respond(error_response(errors, *made->error));
                         const auto all = std::make_shared<UnderWay>();
                         all->task = std::move(made->task);
                         all->exchange = exchange;
                         all->model = &model;
                         all->errors = errors;
                         all->start();
                       });
                     });
}

std::vector<std::vector<std::int32_t>> read_inputs(const ModelText& text, const Fields& fields,
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

}  // namespace rf
