// Any text through the tokenizers of two real vocabularies: byte-level BPE must give the text back.
#include "text/tokenizer.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "golden.h"
#include "text/unicode.h"

namespace {

// A tokenizer and the file it looks into, from tests/golden/tokenizer.
struct Loaded {
  explicit Loaded(const char* name)
      : file(rf::Gguf::open(rf::test::tests_folder() + "/golden/tokenizer/" + name)),
        tokenizer(rf::Tokenizer::from(file)) {}
  rf::Gguf file;
  std::unique_ptr<rf::Tokenizer> tokenizer;
};

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const rf::Tokenizer& tokenizer, std::string_view text, bool gives_text_back) {
  const std::string whole = rf::repaired_utf8(text);
  for (const bool parse_special : {false, true}) {
    const auto ids = tokenizer.encode(text, {.add_special = false, .parse_special = parse_special});
    for (const std::int32_t id : ids) require(id >= 0 && id < tokenizer.vocab_size());
    require(ids == tokenizer.encode(whole, {.add_special = false, .parse_special = parse_special}));
    const std::string decoded = tokenizer.decode(ids);
    require(rf::well_formed_prefix(decoded) == decoded.size());
    if (gives_text_back) require(decoded == whole);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Loaded gpt2("ggml-vocab-gpt-2.gguf"), llama("ggml-vocab-llama-spm.gguf");
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check(*gpt2.tokenizer, text, true);
  check(*llama.tokenizer, text, false);
  return 0;
}
