// The tokenizer of PLaMo 2: unigram over raw text with bytes as a fallback. tokenizer.ggml.model "plamo2".
#pragma once
#include <memory>

#include "text/tokenizer.h"

namespace rf {

std::unique_ptr<Tokenizer> make_plamo2(const Gguf& file);  // throws as Tokenizer::from

}  // namespace rf
