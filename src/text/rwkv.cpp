#include "text/rwkv.h"

#include <list>

namespace rf {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The bytes that a stored text stands for: it is written as between the quotes of a Python bytes literal.
std::string unescaped(std::string_view stored) {
  std::string bytes;
  for (std::size_t i = 0; i < stored.size(); ++i) {
    if (stored[i] != '\\' || i + 1 == stored.size()) {
      bytes += stored[i];
      continue;
    }
    const char kind = stored[++i];
    const int high = i + 2 < stored.size() ? hex_value(stored[i + 1]) : -1;
    const int low = i + 2 < stored.size() ? hex_value(stored[i + 2]) : -1;
    if (kind == 'x' && high >= 0 && low >= 0) {
      bytes += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      bytes += kind == 't' ? '\t' : kind == 'n' ? '\n' : kind == 'r' ? '\r' : kind;
    }
  }
  return bytes;
}

class Rwkv final : public Tokenizer {
 public:
  explicit Rwkv(Vocabulary all) : Tokenizer(std::move(all)) {
    std::list<std::string> texts;
    std::vector<ByteTrie::Key> keys;
    for (std::int32_t id = 0; id < vocabulary().size(); ++id)
      if (vocabulary().type(id) == TokenType::normal)
        keys.push_back({texts.emplace_back(unescaped(vocabulary().text(id))), id});
    tokens_ = ByteTrie(std::move(keys));
  }

 protected:
  // A byte that no token begins with, which published vocabularies have none of, is left out.
  void encode_plain(std::string_view text, WordCache&, std::vector<std::int32_t>& ids) const override {
    while (!text.empty()) {
      std::size_t taken = 1;
      std::int32_t longest = vocabulary().unknown;
      tokens_.prefixes(text, [&](std::size_t bytes, std::int32_t token) {
        taken = bytes;
        longest = token;
      });
      if (longest >= 0) ids.push_back(longest);
      text.remove_prefix(taken);
    }
  }
  std::string plain_piece(std::string_view stored) const override { return unescaped(stored); }

 private:
  ByteTrie tokens_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_rwkv(const Gguf& file) {
  return std::make_unique<Rwkv>(Vocabulary::from(file, {}));
}

}  // namespace rf
