// Engine: runs many requests at once over one loaded model: every step mixes decoding rows and pieces of
// prompts.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/sampler.h"
#include "model/model.h"
#include "plan/plan.h"
#include "text/tokenizer.h"

namespace rf {

struct EngineOptions {
  std::string device = "auto";  // auto | cpu | reference (the slow double-precision oracle)
  std::string isa;              // forces a CPU instruction set; empty: the best present (RF_ISA)
  int threads = 0;              // 0: all processors
  int context = 0;              // positions of one sequence; 0: the model's, at most 8192
  int parallel = 1;             // sequences at once
  int page_tokens = 64;
  int batch_rows = 512;  // token budget of a step
  int wanted_rows = 0;   // rows of logits a step can give; 0: `parallel`
  KvType kv = KvType::f16;
  std::function<void(std::size_t done, std::size_t total)> progress;  // of loading weights, bytes
};

enum class Finish : std::uint8_t { none, end_of_text, stop_string, length, cancelled };
const char* finish_name(Finish finish);  // "stop", "length", "cancelled" as APIs name them

struct Request {
  std::vector<std::int32_t> prompt;
  SamplerOptions sampling;
  std::vector<std::string> stop;
  int max_tokens = -1;  // -1: until the context is full
  bool ignore_eos = false;
};

// What one step gave one request.
struct Event {
  std::uint64_t request = 0;
  std::int32_t token = -1;  // -1: none (prompt progress, or text released at the end)
  std::string text;         // whole UTF-8 characters, stop strings cut off
  int prompt_done = 0;      // prompt tokens read so far, cached ones included
  int prompt_cached = 0;    // of them, taken from the prefix cache
  Finish finish = Finish::none;
};

class Engine {
 public:
  // Loads the model. Throws Error (file, key, tensor, memory).
  Engine(const std::string& path, const EngineOptions& options);
  ~Engine();

  // Queues a request and returns its id. Throws Error when the prompt is empty, has ids outside the
  // vocabulary, or does not fit the context.
  std::uint64_t submit(Request request);
  void cancel(std::uint64_t request);  // its next event has Finish::cancelled
  bool idle() const;

  // Runs one batch and appends what it gave. Returns false when there was nothing to do.
  bool step(std::vector<Event>& events);

  // Runs the model over `tokens` from an empty context and gives the logits of every position, piece by
  // piece: sink(first position, rows, f32 [rows, vocab]).
  void evaluate(const std::vector<std::int32_t>& tokens,
                const std::function<void(int first, int rows, const float* logits)>& sink);

  const Gguf& file() const;
  const Spec& spec() const;
  const Tokenizer& tokenizer() const;
  Plan& plan();
  int context() const;  // positions a sequence can have
  double load_seconds() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rf
