// TokenTrie: the bytes of a vocabulary's tokens as a trie, for walking an automaton along all of them at
// once.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/grammar/rules.h"
#include "text/tokenizer.h"

namespace rf::grammar {

class TokenTrie {
 public:
  // In preorder: a node's first child comes right after it, and its subtree ends at `end`.
  struct Node {
    std::uint32_t end;
    std::uint32_t
        tokens;  // where the tokens that end here begin in `tokens_`; they end where the next node's do
    std::uint16_t depth;  // 0: the root
    std::uint8_t byte;
  };

  // Special tokens but those in `shown`, unused ones, and those that end a generation stand for no text.
  explicit TokenTrie(const Tokenizer& tokenizer, std::span<const std::int32_t> shown = {});
  // pieces: by id, "" stands for no text; ends: ids that end a generation.
  TokenTrie(std::vector<std::string> pieces, std::vector<std::int32_t> ends);

  std::int32_t vocab_size() const { return static_cast<std::int32_t>(pieces_.size()); }
  std::string_view piece(std::int32_t token) const { return pieces_[static_cast<std::size_t>(token)]; }
  std::span<const std::int32_t> ends() const { return ends_; }
  const ByteSet& alphabet() const { return alphabet_; }  // bytes that are tokens by themselves

  std::uint32_t size() const { return static_cast<std::uint32_t>(nodes_.size()) - 1; }  // in nodes
  const Node& node(std::uint32_t i) const { return nodes_[i]; }
  std::span<const std::int32_t> tokens(std::uint32_t i) const {
    return {tokens_.data() + nodes_[i].tokens, nodes_[i + 1].tokens - nodes_[i].tokens};
  }
  bool has_child(std::uint32_t i, const ByteSet& bytes) const;

 private:
  void build();

  std::vector<std::string> pieces_;
  std::vector<std::int32_t> ends_;
  std::vector<std::int32_t> tokens_;  // sorted by bytes
  std::vector<Node> nodes_;           // and one after the last
  ByteSet alphabet_;
};

}  // namespace rf::grammar
