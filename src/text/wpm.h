// The tokenizer of WordPiece models (BERT and its kin): tokenizer.ggml.model "bert".
#pragma once
#include <memory>

#include "text/tokenizer.h"

namespace rf {

std::unique_ptr<Tokenizer> make_wpm(const Gguf& file);  // throws as Tokenizer::from

}  // namespace rf
