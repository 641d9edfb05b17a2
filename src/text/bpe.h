// The tokenizer of byte-level BPE models (GPT-2, Llama 3, Qwen and most others): tokenizer.ggml.model "gpt2".
#pragma once
#include <memory>

#include "text/tokenizer.h"

namespace rf {

std::unique_ptr<Tokenizer> make_bpe(const Gguf& file);  // throws as Tokenizer::from

}  // namespace rf
