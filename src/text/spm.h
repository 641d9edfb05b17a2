// The tokenizer of SentencePiece BPE models with byte fallback (Llama 2, Mistral, Gemma, Phi-3):
// tokenizer.ggml.model "llama".
#pragma once
#include <memory>

#include "text/tokenizer.h"

namespace rf {

std::unique_ptr<Tokenizer> make_spm(const Gguf& file);  // throws as Tokenizer::from

}  // namespace rf
