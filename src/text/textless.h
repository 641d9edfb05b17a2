// The tokenizer of a file without a usable vocabulary, for those who bring tokens and take tokens.
#pragma once
#include <memory>

#include "text/tokenizer.h"

namespace rf {

// `size` tokens that stand for no text and end nothing. encode() throws Error.
std::unique_ptr<Tokenizer> make_textless(std::int32_t size);

}  // namespace rf
