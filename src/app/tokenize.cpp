#include <fmt/ranges.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/file.h"
#include "app/load.h"
#include "base/error.h"
#include "text/tokenizer.h"

namespace rf {

namespace {

// At once, so that a program at the other end may wait for the answer to each line.
void print_line(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

}  // namespace

int tokenize(const TokenizeOptions& options) {
  const Gguf file = Gguf::open(find_model(options.model));
  const std::unique_ptr<Tokenizer> tokenizer = Tokenizer::from(file);
  const EncodeOptions encode{.add_special = !options.no_bos, .parse_special = !options.no_special};
  if (!options.lines.empty()) {
    for_each_json_line(options.lines, [&](const nlohmann::json& line) {
      print_line(nlohmann::json(tokenizer->encode(line.get_ref<const std::string&>(), encode)).dump());
    });
    return 0;
  }
  const std::string text =
      options.text ? *options.text : read_file(options.file.empty() ? "-" : options.file);
  const std::vector<std::int32_t> ids = tokenizer->encode(text, encode);
  std::puts(options.json ? nlohmann::json(ids).dump().c_str()
                         : fmt::format("{}", fmt::join(ids, ",")).c_str());
  return 0;
}

int detokenize(const DetokenizeOptions& options) {
  const Gguf file = Gguf::open(find_model(options.model));
  const std::unique_ptr<Tokenizer> tokenizer = Tokenizer::from(file);
  const auto decode = [&](const std::vector<std::int32_t>& ids) {
    for (const std::int32_t id : ids)
      if (id < 0 || id >= tokenizer->vocab_size())
        fail("token {}: the vocabulary of {} has ids 0 to {}", id, file.path(), tokenizer->vocab_size() - 1);
    return tokenizer->decode(ids, !options.no_special);
  };
  if (!options.lines.empty()) {
    for_each_json_line(options.lines, [&](const nlohmann::json& line) {
      std::vector<std::int32_t> ids;
      for (const nlohmann::json& id : line.get_ref<const nlohmann::json::array_t&>()) {
        if (!id.is_number_integer() || id != id.get<std::int32_t>())
          fail("expected a token id, found {}", id.dump());
        ids.push_back(id.get<std::int32_t>());
      }
      print_line(nlohmann::json(decode(ids)).dump());
    });
    return 0;
  }
  const std::string text = decode(*options.tokens);
  const std::string line = (options.json ? nlohmann::json(text).dump() : text) + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  return 0;
}

}  // namespace rf
