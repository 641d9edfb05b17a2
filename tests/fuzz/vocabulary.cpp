// Any vocabulary of any family, read back from a file, and any text through it: an Error or ids that decode.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "gguf/writer.h"
#include "text/byte_alphabet.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace {

// The fuzzer's bytes, taken from the front.
class Choices {
 public:
  explicit Choices(std::string_view bytes) : rest_(bytes) {}
  std::uint8_t byte() { return rest_.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(take(1).front()); }
  bool yes() { return byte() % 2 == 1; }
  std::string_view take(std::size_t most) {
    const std::string_view taken = rest_.substr(0, most);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

void require(bool holds) {
  if (!holds) std::abort();
}

// Entries like those of real vocabularies, so that more than the first check is passed: bytes of either kind,
// then short texts with a mark before some.
void write_entries(Choices& choices, rf::GgufWriter& writer) {
  std::vector<std::string> texts;
  std::vector<std::int32_t> types;
  std::vector<float> scores;
  const auto add = [&](std::string text, std::int32_t type, float score) {
    texts.push_back(std::move(text));
    types.push_back(type);
    scores.push_back(score);
  };
  const rf::ByteAlphabet alphabet;
  const bool names_bytes = choices.yes();
  const int bytes = choices.yes() ? 256 : 0;
  for (int i = 0; i < bytes; ++i)
    add(names_bytes ? fmt::format("<0x{:02X}>", i) : alphabet.character(static_cast<std::uint8_t>(i)),
        names_bytes ? 6 : 1, 0);
  for (int count = choices.byte() % 48; count >= 0; --count) {
    std::string text = choices.byte() % 4 == 0 ? "\xE2\x96\x81" : "";
    text += choices.take(choices.byte() % 6);
    const std::uint8_t kind = choices.byte();
    add(std::move(text), kind < 160 ? 1 : kind % 8, static_cast<float>(choices.byte()) / -16.0f);
  }
  std::vector<std::string> merges;
  for (int count = choices.byte() % 32; count > 0; --count)
    merges.push_back(texts[choices.byte() % texts.size()] + " " + texts[choices.byte() % texts.size()]);
  writer.set("tokenizer.ggml.tokens", texts);
  writer.set("tokenizer.ggml.token_type", types);
  writer.set("tokenizer.ggml.scores", scores);
  writer.set("tokenizer.ggml.merges", merges);
}

void write_charsmap(Choices& choices, rf::GgufWriter& writer) {
  const std::uint8_t units = choices.byte() % 16;
  std::string map = {static_cast<char>(4 * units), 0, 0, 0};
  map += choices.take(4u * units + choices.byte() % 8);
  writer.copy("tokenizer.ggml.precompiled_charsmap", {.type = rf::ValueType::array,
                                                      .element = rf::ValueType::u8,
                                                      .count = map.size(),
                                                      .bytes = std::as_bytes(std::span(map))});
}

void write_vocabulary(Choices& choices, const std::string& path) {
  constexpr const char* models[] = {"gpt2", "llama", "bert", "t5", "rwkv", "plamo2", "gemma4"};
  rf::GgufWriter writer;
  writer.set("general.architecture", "llama");
  writer.set("tokenizer.ggml.model", models[choices.byte() % std::size(models)]);
  const auto specs = rf::pre_tokenizer_specs();
  writer.set("tokenizer.ggml.pre", specs[choices.byte() % specs.size()].names.front());
  for (const char* flag : {"add_space_prefix", "remove_extra_whitespaces", "add_bos_token", "add_eos_token",
                           "add_sep_token", "normalizer.lowercase", "normalizer.strip_accents"})
    if (choices.yes()) writer.set(std::string("tokenizer.ggml.") + flag, choices.yes());
  for (const char* id : {"bos", "eos", "unknown", "seperator", "mask"})
    if (choices.yes())
      writer.set(std::string("tokenizer.ggml.") + id + "_token_id", std::uint32_t{choices.byte()});
  write_entries(choices, writer);
  if (choices.yes()) write_charsmap(choices, writer);
  writer.finish(path);
}

void check(const rf::Tokenizer& tokenizer, std::string_view text) {
  for (const bool parse_special : {false, true}) {
    const auto ids = tokenizer.encode(text, {.add_special = parse_special, .parse_special = parse_special});
    for (const std::int32_t id : ids) require(id >= 0 && id < tokenizer.vocab_size());
    require(ids == tokenizer.encode(rf::repaired_utf8(text),
                                    {.add_special = parse_special, .parse_special = parse_special}));
    const std::string decoded = tokenizer.decode(ids);
    require(rf::well_formed_prefix(decoded) == decoded.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string path =
      (std::filesystem::temp_directory_path() / ("rf_fuzz_" + std::to_string(::getpid()) + ".gguf")).string();
  Choices choices(std::string_view(reinterpret_cast<const char*>(data), size));
  try {
    write_vocabulary(choices, path);
    const rf::Gguf file = rf::Gguf::open(path);
    const auto tokenizer = rf::Tokenizer::from(file);
    check(*tokenizer, choices.rest());
  } catch (const rf::Error&) {
  }
  std::filesystem::remove(path);
  return 0;
}
