// The tokenizer of SentencePiece unigram models (T5, XLM-RoBERTa): tokenizer.ggml.model "t5".
#pragma once
#include <memory>

#include "text/tokenizer.h"

namespace rf {

std::unique_ptr<Tokenizer> make_ugm(const Gguf& file);  // throws as Tokenizer::from

}  // namespace rf
