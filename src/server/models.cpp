#include "server/models.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

namespace rf {
namespace {

std::int64_t file_time(const std::string& path) {
  std::error_code error;
  const auto time = std::filesystem::last_write_time(path, error);
  if (error) return 0;
  const auto system = std::chrono::file_clock::to_sys(time);
  return std::chrono::duration_cast<std::chrono::seconds>(system.time_since_epoch()).count();
}

std::uint64_t file_size(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

std::int64_t keep_ns(const HostingOptions& options) {
  return options.keep_alive_seconds < 0 ? -1 : std::int64_t{options.keep_alive_seconds} * 1'000'000'000;
}

}  // namespace

void Models::check(const std::vector<ModelEntry>& entries) {
  std::set<std::string> names;
  for (const ModelEntry& entry : entries)
    if (!names.insert(entry.name).second) fail("--model {}: there are two models of this name", entry.name);
}

Models::Models(Loop& loop, Metrics& metrics, const std::vector<ModelEntry>& entries,
               const HostingOptions& options)
    : loop_(loop), metrics_(metrics), options_(options) {
  check(entries);
  for (const ModelEntry& entry : entries) models_.push_back(make(entry));
  ticker_ = loop_.every(std::chrono::seconds(1), [this] { let_go_of_unused(); });
}

std::unique_ptr<ServedModel> Models::make(const ModelEntry& entry) {
  return std::unique_ptr<ServedModel>(new ServedModel{
      .name = entry.name,
      .path = entry.path,
      .bytes = file_size(entry.path),
      .created = file_time(entry.path),
      .engine = EngineHost(
          loop_,
          {.command = entry.command, .watchdog_seconds = options_.watchdog_seconds, .name = entry.name},
          metrics_),
      .text = nullptr,
      .keep_ns = keep_ns(options_),
      .required = entry.required,
      .waiting_for_text = {}});
}

void Models::reload(const std::vector<ModelEntry>& entries, const HostingOptions& options) {
  const bool other_keep = options.keep_alive_seconds != options_.keep_alive_seconds;
  options_ = options;
  std::vector<std::unique_ptr<ServedModel>> before = std::exchange(models_, {});
  for (const ModelEntry& entry : entries) {
    std::unique_ptr<ServedModel> found;
    for (auto* list : {&before, &retired_})
      for (auto& model : *list)
        if (model != nullptr && model->name == entry.name && model->path == entry.path)
          found = std::move(model);
    if (found == nullptr) {
      spdlog::info("{}: is served from now on", entry.name);
      found = make(entry);
    }
    models_.push_back(std::move(found));
  }
  for (auto& model : before) {
    if (model == nullptr) continue;
    spdlog::info("{}: is served no longer", model->name);
    retired_.push_back(std::move(model));
  }
  std::erase(retired_, nullptr);
  for (const auto& model : models_) {
    if (other_keep) model->keep_ns = keep_ns(options_);
    model->engine.set_watchdog(options_.watchdog_seconds);
  }
}

ServedModel* Models::find(std::string_view name) {
  if (name.empty() && !models_.empty()) return &first();
  for (const auto& model : models_)
    if (name == model->name) return model.get();
  constexpr std::string_view tag = ":latest";
  return name.ends_with(tag) ? find(name.substr(0, name.size() - tag.size())) : nullptr;
}

ServedModel& Models::first() {
  const auto at = std::ranges::find(models_, false, [](const auto& model) { return model->passed_over; });
  return at == models_.end() ? *models_.front() : **at;
}

bool Models::pass_over_first() {
  ServedModel& before = first();
  before.passed_over = true;
  return &first() != &before && !first().passed_over;
}

void Models::use(ServedModel& model, std::function<void(const ApiError*)> then) {
  model.used_ns = now_ns();
  const auto state = model.engine.state();
  if (state == EngineHost::State::stopped || state == EngineHost::State::broken) {
    try {
      make_room(model);
    } catch (const ApiError& error) {
      return then(&error);
    }
    model.engine.start();
  }
  if (model.text != nullptr) return then(nullptr);
  model.waiting_for_text.push_back(std::move(then));
  if (model.waiting_for_text.size() == 1) read_text(model);
}

void Models::read_text(ServedModel& model) {
  struct Result {
    std::shared_ptr<const ModelText> text;
    std::string trouble;
  };
  const auto result = std::make_shared<Result>();
  const auto work = [result, path = model.path] {
    try {
      result->text = std::make_shared<const ModelText>(path);
    } catch (const std::exception& error) {
      result->trouble = error.what();
    }
  };
  loop_.background(work, [result, &model] {
    model.text = result->text;
    if (model.text == nullptr && model.engine.jobs() == 0) model.engine.stop();
    const ApiError error(503, result->trouble);
    for (const auto& then : std::exchange(model.waiting_for_text, {})) then(model.text ? nullptr : &error);
  });
}

// The size of its files stands for what a model will take that has not been loaded yet.
void Models::make_room(const ServedModel& newcomer) {
  if (options_.memory_bytes == 0) return;
  const auto taken = [this] {
    std::uint64_t sum = 0;
    for (const auto* list : {&models_, &retired_})
      for (const auto& model : *list)
        if (const message::Ready& facts = model->engine.facts();
            model->engine.state() == EngineHost::State::ready)
          sum += facts.weight_bytes + facts.cache_bytes + facts.host_bytes;
        else if (model->engine.state() == EngineHost::State::loading)
          sum += model->bytes;
    return sum;
  };
  while (taken() + newcomer.bytes > options_.memory_bytes) {
    ServedModel* oldest = nullptr;
    for (const auto& model : models_)
      if (model->engine.state() == EngineHost::State::ready && model->engine.jobs() == 0 &&
          (oldest == nullptr || model->used_ns < oldest->used_ns))
        oldest = model.get();
    if (oldest == nullptr) {
      ApiError error(
          503, fmt::format("{}: there is no memory for it while the other models are in use", newcomer.name));
      error.retry_after = 5;
      throw error;
    }
    spdlog::info("{}: makes room for {}", oldest->name, newcomer.name);
    oldest->engine.stop();
  }
}

void Models::let_go_of_unused() {
  for (const auto& model : models_) {
    EngineHost& engine = model->engine;
    if (engine.jobs() > 0) model->used_ns = now_ns();
    if (model->keep_ns < 0 || engine.state() != EngineHost::State::ready || engine.jobs() > 0) continue;
    if (now_ns() - model->used_ns < model->keep_ns) continue;
    spdlog::info("{}: was not used and is let go of", model->name);
    engine.stop();
    model->keep_ns = keep_ns(options_);  // what a request wished was for this time
  }
  constexpr std::int64_t moment = 60'000'000'000;  // in which a request that has found it becomes its job
  for (const auto& model : retired_) {
    if (model->engine.jobs() > 0) model->used_ns = now_ns();
    if (model->engine.jobs() > 0 || model->engine.awaited()) continue;
    model->engine.stop();
    if (now_ns() - model->used_ns > moment && model->waiting_for_text.empty()) model->text = nullptr;
  }
}

}  // namespace rf
