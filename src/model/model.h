// Model: a GGUF file understood: its Spec and the Program its architecture records.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gguf/gguf.h"
#include "ops/program.h"

namespace rf {

// The shape of one layer.
struct LayerSpec {
  int heads = 0, kv_heads = 0;  // one of them 0: no attention, and none of the sizes up to ffn
  int key_dim = 0, value_dim = 0;
  int ffn = 0;     // 0: no dense network
  int window = 0;  // sliding attention window, 0: none
  Rope rope;
};

// What the model is, from its metadata and from which tensors are present; never from its name or layer
// count.
struct Spec {
  std::string architecture, name;
  int hidden = 0;
  int context = 0;  // trained length
  std::int64_t vocab = 0;
  bool causal = true;              // else every position sees all of its text: an encoder
  std::optional<Pooling> pooling;  // of a file made for embedding
  Norm::Kind norm = Norm::Kind::rms;
  float norm_eps = 0;
  std::vector<LayerSpec> layers;
};

// Reads general.architecture's keys. Throws Error naming the key, what was expected and what was found.
Spec read_spec(const Gguf& file);

// Records the program of a file's architecture; weights view the file's mapping, so `file` must outlive it.
// `context`: positions that a sequence will have at most, 0: spec.context; some families rotate by it.
// `embed`: its result is hidden states, not logits; that of encoders and of files made for embedding always
// is. Throws Error listing the supported families for an unknown one, and naming missing or misshapen
// tensors.
Program record(const Gguf& file, const Spec& spec, int context = 0, bool embed = false);

// The architectures that record() knows.
std::vector<std::string> supported_architectures();

}  // namespace rf
