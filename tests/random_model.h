// A small llama with random weights in a format, for what needs rows that the formats' blocks divide.
#pragma once
#include <unistd.h>

#include <filesystem>
#include <random>

#include "gguf/writer.h"
#include "golden.h"
#include "tensor/encode.h"

namespace rf::test {

// A file that is gone with this object. Its vocabulary is that of the golden llama.
class RandomModel {
 public:
  explicit RandomModel(Type type, int experts = 0, int layers = 2) {
    static int count = 0;
    path_ =
        (std::filesystem::temp_directory_path() / fmt::format("rf_random_{}_{}.gguf", ::getpid(), ++count))
            .string();
    const Gguf source = Gguf::open(golden("arch/llama/model.gguf"));
    GgufWriter writer;
    for (const auto& [key, value] : source.metadata()) writer.copy(key, value);
    const auto set = [&](const char* key, int value) {
      writer.set(std::string("llama.") + key, static_cast<std::uint32_t>(value));
    };
    set("embedding_length", width);
    set("feed_forward_length", width);
    set("block_count", layers);
    set("attention.head_count", 4);
    set("attention.head_count_kv", 2);
    set("attention.key_length", head);
    set("attention.value_length", head);
    set("rope.dimension_count", head);
    if (experts > 0) {
      set("expert_count", experts);
      set("expert_used_count", 2);
    }
    add(writer, "token_embd.weight", type, {width, vocab, 1, 1});
    add(writer, "output_norm.weight", Type::f32, {width, 1, 1, 1});
    add(writer, "output.weight", type, {width, vocab, 1, 1});
    for (int layer = 0; layer < layers; ++layer) {
      const std::string block = fmt::format("blk.{}.", layer);
      for (const char* norm : {"attn_norm", "ffn_norm"})
        add(writer, block + norm + ".weight", Type::f32, {width, 1, 1, 1});
      add(writer, block + "attn_q.weight", type, {width, 4 * head, 1, 1});
      add(writer, block + "attn_k.weight", type, {width, 2 * head, 1, 1});
      add(writer, block + "attn_v.weight", type, {width, 2 * head, 1, 1});
      add(writer, block + "attn_output.weight", type, {4 * head, width, 1, 1});
      if (experts > 0) add(writer, block + "ffn_gate_inp.weight", Type::f32, {width, experts, 1, 1});
      for (const char* part : {"ffn_gate", "ffn_up", "ffn_down"})
        add(writer, block + part + (experts > 0 ? "_exps.weight" : ".weight"), type,
            {width, width, std::max(experts, 1), 1});
    }
    writer.finish(path_);
  }
  ~RandomModel() { std::filesystem::remove(path_); }
  RandomModel(const RandomModel&) = delete;
  RandomModel& operator=(const RandomModel&) = delete;
  const std::string& path() const { return path_; }

 private:
  static constexpr int width = 256, head = 64, vocab = 384;

  void add(GgufWriter& writer, const std::string& name, Type type, std::array<std::int64_t, 4> shape) {
    writer.add(name, type, shape, [this, type, shape](std::span<std::byte> out) {
      const Encoder encoder(type, shape[0]);
      std::normal_distribution<float> value(shape[1] == 1 ? 1.0f : 0.0f, 0.08f);
      std::vector<float> row(static_cast<std::size_t>(shape[0]));
      const std::size_t rows = static_cast<std::size_t>(shape[1] * shape[2]), bytes = out.size() / rows;
      for (std::size_t r = 0; r < rows; ++r) {
        for (float& each : row) each = value(random_);
        encoder.encode(row.data(), out.data() + r * bytes);
      }
    });
  }

  std::string path_;
  std::mt19937 random_{17};
};

}  // namespace rf::test
