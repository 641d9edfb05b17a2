// imatrix: how much each input column of a model's matrices matters, measured while it reads a text.
#include "model/imatrix.h"

#include <cstdio>

#include "app/commands.h"
#include "app/file.h"
#include "app/interrupt.h"
#include "app/load.h"
#include "app/output_model.h"
#include "app/progress.h"
#include "base/error.h"

namespace rf {
namespace {

constexpr int rows_at_once = 128;

// Runs the model over a chunk, whatever it makes of it.
void read(Engine& engine, std::vector<std::int32_t> chunk) {
  if (!engine.embeds()) return engine.evaluate(chunk, [](int, int, const float*) {});
  engine.submit(EmbeddingRequest{.tokens = std::move(chunk)});
  std::vector<Event> events;
  while (engine.step(events)) events.clear();
}

}  // namespace

int imatrix(const ImatrixOptions& options) {
  LoadOptions load = options.load;
  if (load.context == 0) load.context = 512;
  const std::string text = read_file(options.file);
  const std::unique_ptr<Engine> engine = load_engine(options.model, load, {.wanted_rows = rows_at_once});
  check_output(engine->file(), options.out);
  const Tokenizer& tokenizer = engine->tokenizer();
  const std::vector<std::int32_t> ids = tokenizer.encode(text);
  const auto chunk_size = static_cast<std::size_t>(load.context);
  std::size_t chunks = ids.size() / chunk_size;
  if (options.chunks > 0) chunks = std::min(chunks, static_cast<std::size_t>(options.chunks));
  if (chunks == 0)
    fail("{}: has {} tokens, fewer than one chunk of {}: give a longer text or a smaller --ctx", options.file,
         ids.size(), chunk_size);

  Imatrix measured;
  measured.datasets = {options.file};
  measured.chunks = static_cast<std::uint32_t>(chunks);
  measured.chunk_tokens = static_cast<std::uint32_t>(chunk_size);
  const Program& program = engine->plan().program();
  engine->plan().observe(
      [&](WeightId id, std::int64_t matrix, std::int64_t matrices, std::span<const float> row) {
        measured.add(program.weights[static_cast<std::size_t>(id)].name, matrix, matrices, row);
      });
  const Interruptible interruptible;
  ProgressBar bar;
  for (std::size_t i = 0; i < chunks; ++i) {
    const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(i * chunk_size);
    std::vector<std::int32_t> chunk(begin, begin + static_cast<std::ptrdiff_t>(chunk_size));
    if (tokenizer.add_bos() && tokenizer.bos() >= 0) chunk[0] = tokenizer.bos();
    read(*engine, std::move(chunk));
    if (interruptible.interrupted()) throw Interrupted();
    bar(options.file, (i + 1) * text.size() / chunks, text.size());
  }
  measured.write(options.out);
  std::puts(fmt::format("{}: {} matrices over {} chunks of {} tokens", options.out, measured.entries.size(),
                        chunks, chunk_size)
                .c_str());
  return 0;
}

}  // namespace rf
