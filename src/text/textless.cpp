#include "text/textless.h"

#include "base/error.h"

namespace rf {
namespace {

class Textless : public Tokenizer {
 public:
  explicit Textless(Vocabulary vocabulary) : Tokenizer(std::move(vocabulary)) {}

 protected:
  void encode_plain(std::string_view, WordCache&, std::vector<std::int32_t>&) const override {
    fail("there is no vocabulary to encode text with");
  }
  std::string plain_piece(std::string_view) const override { return {}; }
};

}  // namespace

std::unique_ptr<Tokenizer> make_textless(std::int32_t size) {
  const auto count = static_cast<std::size_t>(size);
  Vocabulary vocabulary;
  vocabulary.texts.resize(count);
  vocabulary.types.resize(count, TokenType::unused);
  vocabulary.ends.resize(count, false);
  vocabulary.takes_space.resize(count, false);
  return std::make_unique<Textless>(std::move(vocabulary));
}

}  // namespace rf
