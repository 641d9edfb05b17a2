// The tokenizer of RWKV World models: always the longest token. tokenizer.ggml.model "rwkv".
#pragma once
#include <memory>

#include "text/tokenizer.h"

namespace rf {

std::unique_ptr<Tokenizer> make_rwkv(const Gguf& file);  // throws as Tokenizer::from

}  // namespace rf
