// ModelSummary: what can be said about a model file without loading it.
#pragma once
#include <cstdint>
#include <string>

#include "gguf/gguf.h"

namespace rf {

struct ModelSummary {
  std::string family, name;
  std::string quant;  // as files are named: "Q4_K_M"; the commonest tensor type where the file is silent
  std::uint64_t bytes = 0;  // of all parts
  std::uint64_t parameters = 0;
  std::int64_t context = 0;       // trained length; 0: not stated
  std::uint64_t cache_bytes = 0;  // of f16 keys and values at min(context, 8192) positions; 0: not known
};
// Throws Error when the metadata contradicts itself.
ModelSummary summarise(const Gguf& file);

}  // namespace rf
