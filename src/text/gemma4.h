// The tokenizer of Gemma 4: BPE by ranked merges over characters, spaces marked and bytes as a fallback:
// tokenizer.ggml.model "gemma4".
#pragma once
#include <memory>

#include "text/tokenizer.h"

namespace rf {

std::unique_ptr<Tokenizer> make_gemma4(const Gguf& file);  // throws as Tokenizer::from

}  // namespace rf
