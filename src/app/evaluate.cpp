// The commands that look at the logits of given tokens: logits and perplexity.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/file.h"
#include "app/interrupt.h"
#include "app/load.h"
#include "app/output_model.h"
#include "base/error.h"

namespace rf {
namespace {

constexpr int rows_at_once = 128;  // of logits: 16 to 128 MB for vocabularies of 32 to 256 thousand

static_assert(std::endian::native == std::endian::little, "files are little-endian");

// Minus the logarithm of the probability that softmax(row) gives `token`.
double surprise(const float* row, std::int64_t vocab, std::int32_t token) {
  const float highest = *std::max_element(row, row + vocab);
  double sum = 0;
  for (std::int64_t i = 0; i < vocab; ++i) sum += static_cast<double>(std::exp(row[i] - highest));
  return std::log(sum) - static_cast<double>(row[token] - highest);
}

// exp of the mean surprise, with the standard error of that mean carried over to it.
class PerplexitySum {
 public:
  void add(double nats) {
    ++count_;
    sum_ += nats;
    squares_ += nats * nats;
  }
  std::size_t count() const { return count_; }
  double value() const { return std::exp(mean()); }
  double error() const {
    if (count_ < 2) return 0;
    const double variance = squares_ / static_cast<double>(count_) - mean() * mean();
    return value() * std::sqrt(std::max(variance, 0.0) / static_cast<double>(count_ - 1));
  }

 private:
  double mean() const { return sum_ / static_cast<double>(count_); }
  std::size_t count_ = 0;
  double sum_ = 0, squares_ = 0;
};

}  // namespace

int logits(const LogitsOptions& options) {
  const std::unique_ptr<Engine> engine =
      load_engine(options.model, options.load, {.wanted_rows = rows_at_once});
  refuse_to_overwrite(engine->file(), options.out);
  OutputFile out(options.out);
  const std::size_t row_bytes = static_cast<std::size_t>(engine->spec().vocab) * sizeof(float);
  const Interruptible interruptible;
  engine->evaluate(options.tokens, [&](int, int rows, const float* values) {
    if (interruptible.interrupted()) throw Interrupted();
    out.write(values, static_cast<std::size_t>(rows) * row_bytes);
  });
  out.close();
  return 0;
}

// The protocol of the published llama.cpp figures: the text in chunks of `context` tokens, each read from an
// empty context and beginning with BOS where the vocabulary adds one, scored over its second half only.
int perplexity(const PerplexityOptions& options) {
  LoadOptions load = options.load;
  if (load.context == 0) load.context = 512;
  if (load.context < 4) fail("--ctx: expected at least 4 tokens, found {}", load.context);
  const std::string text = read_file(options.file);
  const std::unique_ptr<Engine> engine = load_engine(options.model, load, {.wanted_rows = rows_at_once});
  const Tokenizer& tokenizer = engine->tokenizer();
  const std::vector<std::int32_t> ids = tokenizer.encode(text);
  const auto chunk_size = static_cast<std::size_t>(load.context);
  const std::size_t chunks = ids.size() / chunk_size;
  if (chunks == 0)
    fail("{}: has {} tokens, fewer than one chunk of {}: give a longer text or a smaller --ctx", options.file,
         ids.size(), chunk_size);
  PerplexitySum sum;
  for (std::size_t i = 0; i < chunks; ++i) {
    const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(i * chunk_size);
    std::vector<std::int32_t> chunk(begin, begin + static_cast<std::ptrdiff_t>(chunk_size));
    if (tokenizer.add_bos() && tokenizer.bos() >= 0) chunk[0] = tokenizer.bos();
    const std::int64_t vocab = engine->spec().vocab;
    engine->evaluate(chunk, [&](int first, int rows, const float* values) {
      for (int row = 0; row < rows; ++row) {
        const auto position = static_cast<std::size_t>(first + row);
        if (position >= chunk_size / 2 && position + 1 < chunk_size)
          sum.add(surprise(values + row * vocab, vocab, chunk[position + 1]));
      }
    });
    if (!options.json) {
      std::printf("chunk %zu of %zu: perplexity %.4f\n", i + 1, chunks, sum.value());
      std::fflush(stdout);
    }
  }
  if (options.json)
    std::puts(nlohmann::ordered_json({{"perplexity", sum.value()},
                                      {"error", sum.error()},
                                      {"chunks", chunks},
                                      {"context", chunk_size},
                                      {"scored_tokens", sum.count()}})
                  .dump()
                  .c_str());
  else
    std::printf("perplexity %.4f ± %.4f over %zu tokens\n", sum.value(), sum.error(), sum.count());
  return 0;
}

}  // namespace rf
