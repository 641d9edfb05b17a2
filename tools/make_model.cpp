// make_model: writes a GGUF file of a real model's shape with random weights, to measure speed with.
// The text it generates is noise; its memory traffic and arithmetic are those of the real model.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <map>
#include <numbers>

#include "base/error.h"
#include "base/half.h"
#include "base/team.h"
#include "gguf/writer.h"

namespace {

using rf::Type;

struct Shape {
  const char* arch;
  const char* name;
  const char* pre_tokenizer;
  std::uint32_t layers, hidden, ffn, heads, kv_heads, head_dim, vocabulary, context;
  float rope_base, epsilon;
  bool qkv_bias, rope_factors;
};

const std::map<std::string, Shape> shapes = {
    {"1b",
     {"llama", "random, shape of Llama-3.2-1B", "llama-bpe", 16, 2048, 8192, 32, 8, 64, 128256, 131072,
      500000.f, 1e-5f, false, true}},
    {"8b",
     {"llama", "random, shape of Llama-3.1-8B", "llama-bpe", 32, 4096, 14336, 32, 8, 128, 128256, 131072,
      500000.f, 1e-5f, false, true}},
    {"135m",
     {"llama", "random, shape of SmolLM2-135M", "smollm", 30, 576, 1536, 9, 3, 64, 49152, 8192, 100000.f,
      1e-5f, false, false}},
    {"tiny",
     {"llama", "random, as small as blocks of 256 allow", "llama-bpe", 2, 256, 512, 4, 2, 64, 1024, 2048,
      500000.f, 1e-5f, false, false}},
    {"qwen0.5b",
     {"qwen2", "random, shape of Qwen2.5-0.5B", "qwen2", 24, 896, 4864, 14, 2, 64, 151936, 32768, 1000000.f,
      1e-6f, true, false}},
};

// A mix of formats as llama.cpp's quantiser lays it out.
struct Mix {
  std::uint32_t file_type;  // general.file_type
  Type body;                // most matrices
  Type important;           // token_embd, which is also the output matrix; in Q4_K_M some attn_v and ffn_down
};
const std::map<std::string, Mix> mixes = {
    {"f16", {1, Type::f16, Type::f16}},       {"q4_0", {2, Type::q4_0, Type::q6_k}},
    {"q4_1", {3, Type::q4_1, Type::q6_k}},    {"q8_0", {7, Type::q8_0, Type::q8_0}},
    {"q4_k_m", {15, Type::q4_k, Type::q6_k}}, {"q6_k", {18, Type::q6_k, Type::q6_k}},
};

// In Q4_K_M: the first and last eighth of the layers, and every third between.
bool important_layer(std::uint32_t i, std::uint32_t layers) {
  return i < layers / 8 || i >= 7 * layers / 8 || (i - layers / 8) % 3 == 2;
}

// Rows that are not whole 256-element blocks fall back to a 32-element format.
Type fitting(Type type, std::int64_t columns) {
  if (columns % rf::type_info(type).block_elements == 0) return type;
  return type == Type::q4_k ? Type::q5_0 : Type::q8_0;
}

// SplitMix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }
  float uniform() {  // in (-1, 1)
    return static_cast<float>(static_cast<std::int32_t>(next() >> 40) - (1 << 23)) * 0x1p-23f;
  }

 private:
  std::uint64_t state_;
};

void put_f16(std::byte* at, float value) {
  const std::uint16_t bits = rf::f32_to_f16(value);
  std::memcpy(at, &bits, sizeof bits);
}

// Standard deviation of the weights that random codes (and sub-block scales) give for a block scale of 1.
float unit_deviation(Type type) {
  const auto variance = [](double values) { return (values * values - 1) / 12; };
  const double scale6 = variance(64) + 31.5 * 31.5;  // mean square of an unsigned 6-bit scale
  switch (type) {
    case Type::q4_0:
    case Type::q4_1:
      return static_cast<float>(std::sqrt(variance(16)));
    case Type::q5_0:
      return static_cast<float>(std::sqrt(variance(32)));
    case Type::q8_0:
      return static_cast<float>(std::sqrt(variance(256)));
    case Type::q4_k:
      return static_cast<float>(std::sqrt(scale6 * variance(16)));
    case Type::q6_k:
      return static_cast<float>(std::sqrt(variance(256) * variance(64)));
    default:
      rf::fail("make_model: no random blocks of {}", rf::type_info(type).name);
  }
}

// Gives a block of random bytes its scales. The sign of `d` is random, so that codes which are not centred on
// zero give no mean; formats with a minimum get the one that centres the codes.
void set_scales(Type type, std::byte* block, float d, bool negative) {
  const float sign = negative ? -1.f : 1.f;
  switch (type) {
    case Type::q4_1:
      put_f16(block, d * sign);
      put_f16(block + 2, -7.5f * d * sign);
      break;
    case Type::q4_k:  // eight 6-bit scales and minima in 12 bytes; here each minimum code equals its scale
                      // code
      put_f16(block, d * sign);
      put_f16(block + 2, 7.5f * d * sign);
      std::memcpy(block + 8, block + 4, 4);
      for (int i = 12; i < 16; ++i) block[i] = (block[i] & std::byte{15}) | block[i] << 4;
      break;
    case Type::q6_k:
      put_f16(block + 208, d * sign);
      break;
    default:
      put_f16(block, d * sign);
  }
}

void fill_blocks(Type type, std::span<std::byte> out, float deviation, Random& random) {
  const std::size_t block_bytes = rf::type_info(type).block_bytes;
  if (type == Type::f16) {
    const float reach = deviation * std::numbers::sqrt3_v<float>;
    for (std::size_t at = 0; at < out.size(); at += 2) put_f16(&out[at], random.uniform() * reach);
    return;
  }
  std::size_t at = 0;
  for (; at + 8 <= out.size(); at += 8) {
    const std::uint64_t word = random.next();
    std::memcpy(&out[at], &word, sizeof word);
  }
  for (; at < out.size(); ++at) out[at] = static_cast<std::byte>(random.next());
  const float d = deviation / unit_deviation(type);
  for (at = 0; at < out.size(); at += block_bytes) set_scales(type, &out[at], d, random.next() & 1);
}

class Model {
 public:
  Model(const Shape& shape, const Mix& mix, std::uint64_t seed) : shape_(shape), mix_(mix), seed_(seed) {}

  void write(const std::string& path) {
    describe();
    add_vocabulary();
    matrix("token_embd.weight", shape_.hidden, shape_.vocabulary, mix_.important);
    vector("output_norm.weight", shape_.hidden, 1.f, 0.1f);
    if (shape_.rope_factors) add_rope_factors();
    for (std::uint32_t i = 0; i < shape_.layers; ++i) add_layer(i);
    out_.finish(path);
  }

 private:
  void describe() {
    const std::string arch = shape_.arch;
    out_.set("general.architecture", arch);
    out_.set("general.name", shape_.name);
    out_.set("general.file_type", mix_.file_type);
    out_.set("general.quantization_version", std::uint32_t{2});
    out_.set(arch + ".block_count", shape_.layers);
    out_.set(arch + ".context_length", shape_.context);
    out_.set(arch + ".embedding_length", shape_.hidden);
    out_.set(arch + ".feed_forward_length", shape_.ffn);
    out_.set(arch + ".attention.head_count", shape_.heads);
    out_.set(arch + ".attention.head_count_kv", shape_.kv_heads);
    out_.set(arch + ".attention.layer_norm_rms_epsilon", shape_.epsilon);
    out_.set(arch + ".rope.dimension_count", shape_.head_dim);
    out_.set(arch + ".rope.freq_base", shape_.rope_base);
    out_.set(arch + ".vocab_size", shape_.vocabulary);
  }

  // A byte-level BPE: the 256 bytes, pairs of lower-case letters with their merges, numbered words, two
  // controls.
  void add_vocabulary() {
    std::vector<std::string> tokens, merges;
    for (std::uint32_t byte = 0, moved = 0; byte < 256; ++byte) {
      const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      const std::uint32_t c = itself ? byte : 256 + moved++;  // GPT-2's printable stand-in for this byte
      tokens.push_back(
          c < 128 ? std::string(1, static_cast<char>(c))
                  : std::string{static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 63))});
    }
    for (char a = 'a'; a <= 'z'; ++a)
      for (char b = 'a'; b <= 'z'; ++b) {
        tokens.push_back({a, b});
        merges.push_back({a, ' ', b});
      }
    while (tokens.size() + 2 < shape_.vocabulary)
      tokens.push_back(fmt::format("\u0120word{}", tokens.size()));
    tokens.push_back("<|begin_of_text|>");
    tokens.push_back("<|end_of_text|>");
    std::vector<std::int32_t> kinds(tokens.size(), 1);  // normal
    std::fill(kinds.end() - 2, kinds.end(), 3);         // control
    out_.set("tokenizer.ggml.model", "gpt2");
    out_.set("tokenizer.ggml.pre", shape_.pre_tokenizer);
    out_.set("tokenizer.ggml.tokens", std::span<const std::string>(tokens));
    out_.set("tokenizer.ggml.token_type", std::span<const std::int32_t>(kinds));
    out_.set("tokenizer.ggml.merges", std::span<const std::string>(merges));
    out_.set("tokenizer.ggml.bos_token_id", shape_.vocabulary - 2);
    out_.set("tokenizer.ggml.eos_token_id", shape_.vocabulary - 1);
  }

  void add_layer(std::uint32_t i) {
    const std::string blk = fmt::format("blk.{}.", i);
    const std::uint32_t q = shape_.heads * shape_.head_dim, kv = shape_.kv_heads * shape_.head_dim;
    const Type sensitive =
        mix_.body == Type::q4_k && important_layer(i, shape_.layers) ? mix_.important : mix_.body;
    vector(blk + "attn_norm.weight", shape_.hidden, 1.f, 0.1f);
    matrix(blk + "attn_q.weight", shape_.hidden, q, mix_.body);
    matrix(blk + "attn_k.weight", shape_.hidden, kv, mix_.body);
    matrix(blk + "attn_v.weight", shape_.hidden, kv, sensitive);
    if (shape_.qkv_bias) {
      vector(blk + "attn_q.bias", q, 0.f, 0.1f);
      vector(blk + "attn_k.bias", kv, 0.f, 0.1f);
      vector(blk + "attn_v.bias", kv, 0.f, 0.1f);
    }
    matrix(blk + "attn_output.weight", q, shape_.hidden, mix_.body);
    vector(blk + "ffn_norm.weight", shape_.hidden, 1.f, 0.1f);
    matrix(blk + "ffn_gate.weight", shape_.hidden, shape_.ffn, mix_.body);
    matrix(blk + "ffn_up.weight", shape_.hidden, shape_.ffn, mix_.body);
    matrix(blk + "ffn_down.weight", shape_.ffn, shape_.hidden, sensitive);
  }

  // Llama 3's rope scaling: by 32 above the old context's wavelengths, none below a quarter of it, blended
  // between.
  void add_rope_factors() {
    std::vector<float> factors;
    for (std::uint32_t i = 0; i < shape_.head_dim; i += 2) {
      const double wavelength =
          2 * std::numbers::pi * std::pow(shape_.rope_base, double(i) / shape_.head_dim);
      const double smooth = std::clamp((8192 / wavelength - 1) / 3, 0.0, 1.0);
      factors.push_back(static_cast<float>(1 / ((1 - smooth) / 32 + smooth)));
    }
    out_.add("rope_freqs.weight", Type::f32, {shape_.head_dim / 2, 1, 1, 1},
             [factors](std::span<std::byte> out) { std::memcpy(out.data(), factors.data(), out.size()); });
  }

  // Float32 values uniform in [middle - reach, middle + reach].
  void vector(const std::string& name, std::int64_t size, float middle, float reach) {
    const std::uint64_t seed = Random(seed_ + ++tensors_).next();
    out_.add(name, Type::f32, {size, 1, 1, 1}, [=](std::span<std::byte> out) {
      Random random(seed);
      for (std::size_t at = 0; at < out.size(); at += sizeof(float)) {
        const float value = middle + reach * random.uniform();
        std::memcpy(&out[at], &value, sizeof value);
      }
    });
  }

  // Weights of standard deviation 1 / sqrt(columns): activations keep their size from layer to layer.
  void matrix(const std::string& name, std::int64_t columns, std::int64_t rows, Type wanted) {
    const Type type = fitting(wanted, columns);
    const std::uint64_t seed = Random(seed_ + ++tensors_).next();
    const float deviation = 1.f / std::sqrt(static_cast<float>(columns));
    out_.add(name, type, {columns, rows, 1, 1}, [=, this](std::span<std::byte> out) {
      const std::size_t row = rf::row_bytes(type, columns);
      const std::size_t piece =
          64 * row;  // a piece has its own seed: the file does not depend on the threads
      const std::size_t pieces = (out.size() + piece - 1) / piece;
      std::atomic<std::size_t> next{0};
      team_.run([&](int) {
        for (std::size_t i = next++; i < pieces; i = next++) {
          Random random(seed + i);
          fill_blocks(type, out.subspan(i * piece, std::min(piece, out.size() - i * piece)), deviation,
                      random);
        }
      });
    });
  }

  const Shape& shape_;
  const Mix& mix_;
  const std::uint64_t seed_;
  std::uint64_t tensors_ = 0;
  rf::Team team_{rf::default_threads()};
  rf::GgufWriter out_;
};

template <class Table>
std::vector<std::string> names(const Table& table) {
  std::vector<std::string> out;
  for (const auto& [name, value] : table) out.push_back(name);
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Write a GGUF file of a real model's shape with random weights.");
  std::string shape = "1b", type = "q4_k_m", out;
  std::uint64_t seed = 1;
  app.add_option("--shape", shape)->check(CLI::IsMember(names(shapes)))->capture_default_str();
  app.add_option("--type", type)->check(CLI::IsMember(names(mixes)))->capture_default_str();
  app.add_option("--out", out, "The file to write")->required();
  app.add_option("--seed", seed)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    Model(shapes.at(shape), mixes.at(type), seed).write(out);
  } catch (const rf::Error& error) {
    fmt::print(stderr, "make_model: {}\n", error.what());
    return 1;
  }
  return 0;
}
