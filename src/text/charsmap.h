// Charsmap: SentencePiece's precompiled normaliser: the longest sequence that it knows is replaced, again and
// again.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "gguf/gguf.h"

namespace rf {

// tokenizer.ggml.precompiled_charsmap: the size of a trie in bytes, the trie, then the replacements, each
// ended by a zero byte. The trie is a Darts-clone double array of 32-bit units, all little-endian.
class Charsmap {
 public:
  // Without the key, nothing is replaced. A view into `file`'s mapping. Throws Error naming the file and the
  // key.
  explicit Charsmap(const Gguf& file);

  struct Replacement {
    std::string_view text;
    std::size_t taken;  // bytes of the input that it stands for
  };
  // What the longest known sequence at the beginning of `text` becomes.
  std::optional<Replacement> first(std::string_view text) const;

 private:
  // Unit `index` of the trie; 0, which leads nowhere, beyond its end.
  std::uint32_t unit(std::size_t index) const;

  std::string_view trie_, replacements_;
};

}  // namespace rf
