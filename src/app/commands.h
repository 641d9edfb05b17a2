// The commands: what each one is told, and its work. They write results to stdout, throw Error on failure,
// and return the exit code. The command line that fills these structs is command_line.cpp.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/sampler.h"

namespace rf {

// Where and how a model runs.
struct LoadOptions {
  std::string device = "auto";      // auto, cpu, reference, gpu, gpu:N or sim
  std::string gpu_layers = "auto";  // a number, or auto
  std::vector<std::string> place;   // GLOB=cpu or GLOB=gpu, the first that fits a step's tensors
  int threads = 0;                  // 0: all processors
  bool compact_weights = false;     // on the CPU: no more memory than in the file
  std::string kv = "f16";
  int page = 64;             // positions of one cache page
  int context = 0;           // 0: the model's, at most 8192
  int batch_rows = 0;        // tokens of one step; 0: 512, of an encoder the whole context
  int state_snapshots = -1;  // of recurrent models; -1: two for each sequence and one
  bool embed = false;        // texts are embedded; the command says so, not the user
};

// How the next token is chosen and when to stop.
struct AnswerOptions {
  SamplerOptions sampling;
  std::vector<std::string> stop;
  int max_tokens = -1;  // -1: until the context is full
  // What the answer must be; at most one of them.
  std::string json_schema;  // a file, or the schema itself
  std::string grammar;      // a file
  std::string regex;
  std::vector<std::string> choices;
  std::string tools;      // a file: what a chat's model may call
  std::string reasoning;  // show, hide, or empty: shown on a terminal
};

struct GenerateOptions {
  std::string model;
  LoadOptions load;
  AnswerOptions answer;
  std::string prompt;
  std::optional<std::vector<std::int32_t>> tokens;  // instead of a prompt
  bool chat = false;                                // the prompt is a user's message
  bool ignore_eos = false;
  bool json = false;
};
int generate(const GenerateOptions& options);

struct ChatOptions {
  std::string model = "smollm2";
  LoadOptions load;
  AnswerOptions answer;
  std::string system;
};
int chat(const ChatOptions& options);

struct PullOptions {
  std::string name;
  std::string output;  // of a URL; empty: in the cache under the URL's last part
  std::string sha256;  // of a URL; empty: any
};
int pull(const PullOptions& options);

struct ModelsOptions {
  std::string folder;  // empty: the cache
  bool json = false;
};
int models(const ModelsOptions& options);

struct InspectOptions {
  std::string model;
  bool json = false;
  bool plan = false;         // also the recorded program and the memory it needs
  std::string tensor, dump;  // write this tensor to this file as f32
  LoadOptions load;          // for the plan
};
int inspect(const InspectOptions& options);

struct TokenizeOptions {
  std::string model;
  std::optional<std::string> text;
  std::string file, lines;
  bool json = false, no_bos = false, no_special = false;
};
int tokenize(const TokenizeOptions& options);

struct DetokenizeOptions {
  std::string model;
  std::optional<std::vector<std::int32_t>> tokens;
  std::string lines;
  bool json = false, no_special = false;
};
int detokenize(const DetokenizeOptions& options);

struct TemplateOptions {
  std::string model, file;  // one of them
  std::string messages, tools, variables;
  bool no_generation_prompt = false;
  std::optional<std::string> bos, eos, now;
};
int render_template(const TemplateOptions& options);

struct LogitsOptions {
  std::string model, out;
  std::vector<std::int32_t> tokens;
  LoadOptions load;
};
int logits(const LogitsOptions& options);

struct EmbedOptions {
  std::string model;
  LoadOptions load;
  std::optional<std::string> text;
  std::optional<std::vector<std::int32_t>> tokens;  // instead of a text
  std::string pooling;                              // empty: the model's
  bool no_normalize = false;
  bool json = false;
};
int embed(const EmbedOptions& options);

struct PerplexityOptions {
  std::string model, file;
  LoadOptions load;  // context: tokens of one chunk, 0: 512
  bool json = false;
};
int perplexity(const PerplexityOptions& options);

struct BenchOptions {
  std::string model;
  LoadOptions load;
  int prompt = 512;  // tokens of the prefill measurement
  int decode = 128;  // tokens each stream generates in the decode measurement
  int depth = 0;     // tokens in the cache before them
  int batch = 1;     // streams at once
  int repetitions = 5;
  bool steps = false, json = false;
};
int bench(const BenchOptions& options);

struct QuantizeOptions {
  std::string in, out, type;
  std::string imatrix;                    // a file, or empty: all columns count alike
  std::vector<std::string> tensor_types;  // GLOB=TYPE, the last that matches counts
  int threads = 0;
};
int quantize(const QuantizeOptions& options);

struct ImatrixOptions {
  std::string model, file;
  std::string out = "imatrix.gguf";
  int chunks = 0;    // 0: all
  LoadOptions load;  // context: tokens of one chunk, 0: 512
};
int imatrix(const ImatrixOptions& options);

struct SplitOptions {
  std::string in, out_prefix;
  std::uint64_t max_bytes = 0, max_tensors = 0;  // of a part; 0: no limit
};
int split(const SplitOptions& options);

struct MergeOptions {
  std::string in, out;
};
int merge(const MergeOptions& options);

struct DevicesOptions {
  int threads = 0;
  bool json = false;
};
int devices(const DevicesOptions& options);

}  // namespace rf
