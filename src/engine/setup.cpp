#include "engine/setup.h"

#include <sys/stat.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"

namespace rf {
namespace {

constexpr int default_context = 8192;  // where the model could do more and nobody asked

void check_at_least(const char* field, std::int64_t value, std::int64_t least) {
  if (value < least) fail("{}: expected at least {}, found {}", field, least, value);
}

}  // namespace

EngineOptions resolve(EngineOptions options, const Spec& spec) {
  check_at_least("context", options.context, 0);
  check_at_least("parallel", options.parallel, 1);
  check_at_least("page_tokens", options.page_tokens, 1);
  check_at_least("cache_tokens", options.cache_tokens, 0);
  check_at_least("state_snapshots", options.state_snapshots, -1);
  check_at_least("host_cache_bytes", options.host_cache_bytes, -1);
  check_at_least("batch_rows", options.batch_rows, 0);
  check_at_least("wanted_rows", options.wanted_rows, 0);
  if (options.gap != 0 && !(options.gap > 1)) fail("gap: expected above 1, or 0, found {}", options.gap);
  if (options.context == 0) options.context = std::min(spec.context, default_context);
  if (options.context > spec.context)
    spdlog::warn("context: {} positions, but the model was trained on {}", options.context, spec.context);
  check_at_least("context", options.context, 2);
  if (options.cache_tokens != 0) check_at_least("cache_tokens", options.cache_tokens, options.context);
  if (options.batch_rows == 0) options.batch_rows = spec.causal ? default_batch_rows : options.context;
  options.embed = options.embed || spec.pooling || !spec.causal;
  if (options.embed) options.wanted_rows = options.batch_rows;  // any pooling may be asked for
  if (options.wanted_rows == 0) options.wanted_rows = options.parallel;
  if (options.state_snapshots < 0) options.state_snapshots = default_state_snapshots(options.parallel);
  options.wanted_rows = std::min(options.wanted_rows, options.batch_rows);
  return options;
}

RunLimits limits_of(const EngineOptions& options, const Program& program) {
  const auto pages_for = [&](std::int64_t tokens) {
    return (tokens + options.page_tokens - 1) / options.page_tokens;
  };
  const std::int64_t pages = pages_for(options.context);
  const std::int64_t all =
      options.cache_tokens != 0 ? pages_for(options.cache_tokens) : options.parallel * pages;
  if (all * options.page_tokens > std::numeric_limits<int>::max())
    fail("parallel: {} sequences of {} positions are more than a cache can have", options.parallel,
         options.context);
  return {.batch = {.rows = options.batch_rows,
                    .wanted = options.wanted_rows,
                    .sequences = options.parallel,
                    .pages = static_cast<int>(pages)},
          .kv = options.kv,
          .page_tokens = options.page_tokens,
          .cache_pages = static_cast<int>(all),
          .state_slots = program.states.empty() ? 0 : options.parallel + options.state_snapshots};
}

Program checked_program(const Gguf& file, const Spec& spec, const EngineOptions& options) {
  Program program = record(file, spec, options.context, options.embed);
  check(program);
  return program;
}

namespace {

// Of a file as it lies on disk: a changed one has another time or size.
std::uint64_t hash_file(std::uint64_t hash, const std::string& path) {
  struct stat facts{};
  if (::stat(path.c_str(), &facts) != 0) return mix(hash, 0);
  hash = mix(hash, static_cast<std::uint64_t>(facts.st_size));
  hash = mix(hash, static_cast<std::uint64_t>(facts.st_mtim.tv_sec));
  return mix(hash, static_cast<std::uint64_t>(facts.st_mtim.tv_nsec));
}

}  // namespace

std::uint64_t cache_identity(const Gguf& file, const Plan& plan, int context) {
  std::uint64_t hash = hash_text(0, RF_VERSION);
  hash = hash_file(hash, "/proc/self/exe");  // another build may round otherwise
  for (const std::string& part : file.part_paths()) hash = hash_file(hash, part);
  hash = mix(hash, static_cast<std::uint64_t>(plan.limits().kv));
  hash = mix(hash, static_cast<std::uint64_t>(plan.limits().page_tokens));
  hash = mix(hash, static_cast<std::uint64_t>(context));  // rotary scaling may depend on it
  hash = mix(hash, plan.page_bytes());
  hash = mix(hash, plan.state_bytes());
  const int steps = static_cast<int>(plan.program().steps.size());
  for (int step = 0; step < steps; ++step) hash = hash_text(hash, plan.backend(plan.place(step)).name());
  return hash;
}

PageStore::Options store_options(const EngineOptions& options, const Gguf& file, const Plan& plan) {
  const std::uint64_t cache = plan.memory().cache;
  return {.host_bytes = options.host_cache_bytes >= 0 ? static_cast<std::size_t>(options.host_cache_bytes)
                                                      : std::min(cache, machine_memory().total / 8),
          .folder = options.cache_folder,
          .folder_bytes = options.cache_folder_bytes,
          .identity = cache_identity(file, plan, options.context),
          .page_tokens = options.page_tokens};
}

}  // namespace rf
