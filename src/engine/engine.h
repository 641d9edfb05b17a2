// Engine: runs many requests at once over one loaded model: every step mixes decoding rows and pieces of
// prompts. The engine room owns requests from their tokens to their text: scheduling, cache pages and the
// prefix cache, sampling, stop strings. It knows backends only by their interface.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/sampler.h"
#include "model/model.h"
#include "plan/plan.h"
#include "text/token_constraint.h"
#include "text/tokenizer.h"

namespace rf {

// Places of prompts where recurrent states are kept: for each sequence the end of its prompt and of its
// answer.
inline int default_state_snapshots(int parallel) {
  return 2 * std::min(parallel, 1 << 20) + 1;
}
inline constexpr int default_batch_rows = 512;  // that hide the cost of reading the weights

struct EngineOptions {
  int context = 0;   // positions of one sequence; 0: the model's, at most 8192
  int parallel = 1;  // sequences at once
  int page_tokens = 64;
  int cache_tokens = 0;  // positions of the cache, at least `context`; 0: parallel * context
  // Of a model with recurrent states: places of prompts where they are kept, so that another one with the
  // same beginning goes on from there; -1: 2 * parallel + 1.
  int state_snapshots = -1;
  // What leaves the cache is kept in host memory, prefixes and sequences that had to give way, up to so many
  // bytes; -1: as many as the cache has, but at most an eighth of the machine's memory.
  std::int64_t host_cache_bytes = -1;
  // And in this folder, across restarts and for all who use it, up to so many bytes; "": nowhere.
  std::string cache_folder{};
  std::uint64_t cache_folder_bytes = 10ull << 30;
  int batch_rows = 0;   // token budget of a step; 0: 512, of an encoder `context`, as it reads a text at once
  int wanted_rows = 0;  // rows of logits a step can give; 0: `parallel`
  double gap = 0;  // a step with decoding rows takes at most so many times what it would without prompts, as
                   // far as can be foretold; 0: prompts are read as fast as they can be
  KvType kv = KvType::f16;
  // The backend that a step should run on, by index; -1: no wish.
  std::function<int(const Program&, const Step&)> prefer{};
  bool embed = false;  // embed texts, not generate; models made for embedding always do
  std::function<void(std::size_t done, std::size_t total)> progress{};  // of loading weights, bytes
};

enum class Finish : std::uint8_t { unfinished, end_of_text, stop_string, length, cancelled };
const char* finish_name(Finish finish);  // "stop", "length", "cancelled" as APIs name them

struct Request {
  std::vector<std::int32_t> prompt{};
  // Tokens that another engine has already given as the beginning of this answer: it goes on after them as if
  // it had given them itself. With a seed the rest is the same as that of the uninterrupted answer.
  std::vector<std::int32_t> given{};
  float surprise = -1.0f;  // Event::surprise of the last of `given`; below 0: none
  SamplerOptions sampling{};
  std::vector<std::string> stop{};
  int max_tokens = -1;      // at least 1; -1: until the context is full
  bool ignore_eos = false;  // tokens that end a generation are tokens like others
  int logprobs = -1;        // events tell the log-probability of their token and of so many best; -1: neither
  bool prompt_logprobs =
      false;         // likewise of each token of the prompt but the first; max_tokens may be 0 then
  int priority = 0;  // higher ones are let in first; within one, lower ranks, then older requests
  std::uint64_t rank = 0;
  // Special tokens whose texts belong to the reply's, in ascending order: what its dialect marks calls with.
  std::vector<std::int32_t> shown_tokens{};
  // What the text must be, over this vocabulary; none: any. An ending token ends it even with ignore_eos.
  std::shared_ptr<const TokenConstraint> constraint{};
};

struct TokenLogprob {
  std::int32_t token = -1;
  float logprob = 0;  // natural, of the model's own distribution: before penalties, masks and temperature
};

// What the model thought of a token of the prompt.
struct PromptLogprob {
  int position = 0;  // from 1 on
  TokenLogprob logprob{};
  std::vector<TokenLogprob> top{};
};

struct EmbeddingRequest {
  std::vector<std::int32_t> tokens{};
  std::optional<Pooling> pooling{};  // none: as the model says
  bool normalise = true;             // to unit length; scores of rank never are
};

// What one step gave one request.
struct Event {
  std::uint64_t request = 0;
  std::int32_t token = -1;  // the one chosen, the one that ended the text included; -1: none
  std::string text{};       // whole UTF-8 characters, stop strings cut off; not that of an ending token
  TokenLogprob logprob{};   // of `token`, where the request asks for it
  std::vector<TokenLogprob> top{};  // the best tokens, best first
  float surprise = -1.0f;           // what Mirostat has learned so far; below 0: it is off
  std::string stop{};               // the stop string that ended it
  std::vector<float>
      embedding{};  // of an embedding request's last event; without pooling a row for each token
  std::vector<PromptLogprob> prompt{};  // in order; those of a prompt that is read again come again
  int prompt_done = 0;                  // prompt tokens read so far, cached ones included
  int prompt_cached = 0;                // of them, taken from the prefix cache
  Finish finish = Finish::unfinished;
};

struct EngineLoad {
  int running = 0, waiting = 0;     // sequences
  int pages = 0, pages_free = 0;    // of the cache; kept prefixes count as free
  int rows = 0, decoding_rows = 0;  // of the last step
  std::uint64_t sent_back = 0;      // sequences so far that others took the pages of
  std::uint64_t read_again = 0;     // tokens that those had to read a second time
  std::uint64_t host_bytes = 0;     // kept in host memory
};

// For one thread at a time: the caller makes all calls from one thread, or guards them with one lock. The
// same request with the same seed gives the same tokens whatever else runs.
class Engine {
 public:
  // Loads the model; its steps are placed on the first of `backends` that can run them. Throws Error (file,
  // key, tensor, option, memory).
  Engine(const std::string& path, std::vector<std::unique_ptr<Backend>> backends,
         const EngineOptions& options);
  ~Engine();

  // Queues a request and returns its id, never 0. Throws Error naming the field when the prompt is empty, has
  // ids outside the vocabulary or does not leave room for a token in the context, or when an option is out of
  // range.
  std::uint64_t submit(Request request);
  // Likewise; its last event has the embedding and Finish::end_of_text. Throws Error also where the text is
  // longer than an encoder can read at once, and for rank where the model has no classifier.
  std::uint64_t submit(EmbeddingRequest request);
  // Its next event has Finish::cancelled and is its last; does nothing when there is no such request.
  void cancel(std::uint64_t request);
  bool idle() const;  // there is nothing to do for step()
  EngineLoad load() const;

  // Runs one batch and appends what it gave. Returns false when there was nothing to do.
  bool step(std::vector<Event>& events);

  // Runs the model over `tokens` from an empty context and gives the logits of every position, piece by
  // piece: sink(first position, rows, f32 [rows, vocab]). Not to be called from `sink`. Running requests wait
  // and may have to read their tokens again. Throws Error as submit() does, and for a model that embeds.
  void evaluate(const std::vector<std::int32_t>& tokens,
                const std::function<void(int first, int rows, const float* logits)>& sink);

  const Gguf& file() const;
  const Spec& spec() const;
  // Throws Error naming the key where the file's vocabulary cannot be used; its tokens can be.
  const Tokenizer& tokenizer() const;
  bool embeds() const;      // takes EmbeddingRequests, else Requests
  Pooling pooling() const;  // of a model that embeds: where a request does not say
  Plan& plan();
  int context() const;                    // positions a sequence can have
  std::uint64_t most_host_bytes() const;  // that the cache may come to keep in host memory
  double load_seconds() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rf
