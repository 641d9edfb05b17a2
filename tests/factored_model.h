// FactoredModel: a golden model's file with every matrix of its layers divided by a factor that lies beside
// it (NAME.scale), one for each expert, by powers of two: what it computes is the same.
#pragma once
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "gguf/gguf.h"
#include "gguf/writer.h"
#include "golden.h"
#include "temporary_folder.h"

namespace rf::test {

class FactoredModel {
 public:
  // F32 or F16 matrices; those of other types stay as they are.
  explicit FactoredModel(const std::string& folder) {
    const Gguf file = Gguf::open(golden("arch/" + folder + "/model.gguf"));
    GgufWriter writer;
    for (const auto& [key, value] : file.metadata()) writer.copy(key, value);
    for (const auto& [name, tensor] : file.tensors()) {
      const std::string key(name);
      if (factored(key) && (tensor.type == Type::f32 || tensor.type == Type::f16))
        add_factored(writer, key, tensor);
      else
        writer.add(key, tensor.type, tensor.shape,
                   [data = tensor.data, bytes = tensor.bytes()](std::span<std::byte> out) {
                     std::memcpy(out.data(), data, bytes);
                   });
    }
    writer.finish(path());
  }
  std::string path() const { return folder_ / "model.gguf"; }
  int matrices() const { return matrices_; }

 private:
  static bool factored(const std::string& name) {
    if (!name.starts_with("blk.") || !name.ends_with(".weight")) return false;
    for (const char* part : {".attn_q.", ".attn_k.", ".attn_v.", ".attn_qkv.", ".attn_output.", ".ffn_gate.",
                             ".ffn_up.", ".ffn_down.", "_exps.", "_shexp."})
      if (name.find(part) != name.npos) return true;
    return false;
  }

  void add_factored(GgufWriter& writer, const std::string& name, const Tensor& tensor) {
    const std::int64_t count = tensor.shape[2];
    std::vector<float> factors;
    for (std::int64_t i = 0; i < count; ++i) factors.push_back(std::ldexp(1.0f, (++matrices_ * 7) % 5 - 2));
    writer.add(name, tensor.type, tensor.shape, [tensor, factors](std::span<std::byte> out) {
      const auto of_one = static_cast<std::size_t>(tensor.shape[0] * tensor.shape[1]);
      for (std::size_t i = 0; i < of_one * factors.size(); ++i) {
        const float factor = factors[i / of_one];
        if (tensor.type == Type::f32) {
          const float value = reinterpret_cast<const float*>(tensor.data)[i] / factor;
          std::memcpy(out.data() + 4 * i, &value, sizeof value);
        } else {
          const std::uint16_t value =
              f32_to_f16(f16_to_f32(reinterpret_cast<const std::uint16_t*>(tensor.data)[i]) / factor);
          std::memcpy(out.data() + 2 * i, &value, sizeof value);
        }
      }
    });
    writer.add(name.substr(0, name.size() - 6) + "scale", Type::f32, {count, 1, 1, 1},
               [factors](std::span<std::byte> out) { std::memcpy(out.data(), factors.data(), out.size()); });
  }

  TemporaryFolder folder_;
  int matrices_ = 0;
};

// Dense layers with and without biases and norms between, several products of one matrix, experts.
inline constexpr const char* factored_models[] = {"bitnet", "llama-bias",   "chatglm",
                                                  "olmoe",  "smallthinker", "grok-2"};

}  // namespace rf::test
