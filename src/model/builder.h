// Builder: what an architecture's file is written with. Each call records one step.
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "model/model.h"

namespace rf {

// Names of one layer's tensors, without ".weight" and ".bias".
struct Layer {
  int index = 0;
  std::string operator[](std::string_view name) const;  // "blk.INDEX.NAME"
};

// Tensors are taken by name and checked against the shapes that the Spec gives; every call throws Error
// naming a tensor that is missing or not as expected. Biases are taken wherever the file has them. The
// activations live in a few slots that all layers share, so a step's result is valid until the same kind of
// step is recorded again; only the residual stream x outlives a layer.
class Builder {
 public:
  Builder(const Gguf& file, const Spec& spec);

  const Spec& spec() const { return spec_; }
  Layer layer(int index) const { return {index}; }
  // Throws Error naming `key` if the file has it with another value than 0.
  void refuse(std::string_view key, std::string_view what) const;

  struct AttendOptions {
    std::string q_norm, k_norm;  // RMS norms of every head, "" for none
  };
  // The tensors each takes, in the layer where it has one: token_embd.
  SlotId embed();
  // attn_norm, attn_q, attn_k, attn_v.
  SlotId qkv(SlotId x, const Layer& layer);
  // Makes the layer's cache.
  SlotId attend(SlotId qkv, const Layer& layer, const AttendOptions& options = {});
  // ffn_norm, ffn_gate, ffn_up.
  SlotId gate_up(SlotId x, const Layer& layer, Activation activation);
  // add + W in + bias, written in add's place.
  SlotId matmul(SlotId in, const Layer& layer, std::string_view name, SlotId add);
  // output_norm and output, or token_embd where the file has no output.weight.
  void logits(SlotId x);

  // Hands over the checked program and logs the file's tensors that it does not use.
  Program finish();

 private:
  SlotId slot(std::int64_t width, bool wanted_rows = false);
  std::int64_t width(SlotId slot) const { return program_.slots[static_cast<std::size_t>(slot)].width; }
  WeightId weight(const std::string& name, std::int64_t columns, std::int64_t rows);
  WeightId vector(const std::string& name, std::int64_t elements);  // F32
  Linear linear(const std::string& name, std::int64_t columns, std::int64_t rows);
  Norm norm(const std::string& name, SlotId x);
  WeightId rope_factors();
  Step& record(Op op, const Layer* layer, SlotId x, SlotId out);

  const Gguf& file_;
  const Spec& spec_;
  Program program_;
  std::map<std::string, WeightId> taken_;
  SlotId x_, qkv_, attention_, gate_;
};

}  // namespace rf
