// Models: what is served under which name, loaded when first used and let go of when memory or time asks for
// it.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_error.h"
#include "server/engine_host.h"
#include "server/loop.h"
#include "server/model_text.h"
#include "server/options.h"

namespace rf {

struct ServedModel {
  std::string name, path;
  std::uint64_t bytes = 0;   // of its files
  std::int64_t created = 0;  // seconds since 1970, of the file
  EngineHost engine;
  std::shared_ptr<const ModelText> text;  // none: not read yet
  std::int64_t used_ns = 0;
  std::int64_t keep_ns = -1;  // how long it stays when nobody uses it; -1: for ever
  bool required = true;       // see ModelEntry
  bool passed_over = false;   // by requests without a model's name
  std::vector<std::function<void(const ApiError*)>> waiting_for_text;
};

class Models {
 public:
  // Throws Error where two have one name.
  Models(Loop& loop, Metrics& metrics, const std::vector<ModelEntry>& entries, const HostingOptions& options);

  static void check(const std::vector<ModelEntry>& entries);  // throws Error where two have one name
  // nullptr where there is none. A tag ":latest" may stand behind the name.
  ServedModel* find(std::string_view name);
  // Those of `entries` are served from now on; others end with the requests that they have.
  void reload(const std::vector<ModelEntry>& entries, const HostingOptions& options);
  const std::vector<std::unique_ptr<ServedModel>>& all() const { return models_; }
  ServedModel& first();  // what requests without a model's name get
  // Another one is the first from now on. False where there is no other.
  bool pass_over_first();

  // Has the model's text read and its engine started, then calls `then`, with what is wrong where that fails.
  // `then` may be called at once; the engine may still be loading.
  void use(ServedModel& model, std::function<void(const ApiError*)> then);

 private:
  std::unique_ptr<ServedModel> make(const ModelEntry& entry);
  void read_text(ServedModel& model);
  void make_room(const ServedModel& newcomer);  // throws ApiError where that cannot be
  void let_go_of_unused();

  Loop& loop_;
  Metrics& metrics_;
  HostingOptions options_;
  std::vector<std::unique_ptr<ServedModel>> models_;
  std::vector<std::unique_ptr<ServedModel>> retired_;  // served no longer; somebody may still use them
  Loop::Timer ticker_;
};

}  // namespace rf
