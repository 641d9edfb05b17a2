#include "server/keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <charconv>
#include <fstream>
#include <sstream>

#include "base/error.h"

namespace rf {
namespace {

std::string digest_of(std::string_view text) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

}  // namespace

Keys::Keys(const std::vector<std::string>& keys, const std::string& file) {
  for (const std::string& key : keys) {
    if (key.empty()) fail("--api-key: expected a key, found none");
    add(key, {.name = fmt::format("key{}", entries_.size() + 1)});
  }
  if (file.empty()) return;
  std::ifstream in(file);
  if (!in) fail("{}: cannot be read; expected a file of API keys", file);
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string key, word;
    if (!(words >> key)) continue;
    Client client{.name = fmt::format("line{}", number)};
    while (words >> word) {
      const std::size_t equals = word.find('=');
      const std::string name = word.substr(0, equals),
                        value = equals == std::string::npos ? "" : word.substr(equals + 1);
      int number_given = 0;
      const auto parsed = std::from_chars(value.data(), value.data() + value.size(), number_given);
      const bool number_ok = parsed.ec == std::errc() && parsed.ptr == value.data() + value.size() &&
                             number_given >= -100 && number_given <= 100;
      if (name == "name" && !value.empty())
        client.name = value;
      else if (name == "priority" && number_ok)
        client.priority = number_given;
      else
        fail("{}:{}: expected name=NAME or priority=N (-100 to 100), found '{}'", file, number, word);
    }
    add(key, std::move(client));
  }
  if (entries_.empty()) fail("{}: expected at least one API key, found none", file);
}

void Keys::add(std::string_view key, Client client) {
  entries_.push_back({digest_of(key), std::move(client)});
}

const Client* Keys::find(std::string_view key) const {
  const std::string digest = digest_of(key);
  const Client* found = nullptr;
  for (const Entry& entry : entries_)
    if (CRYPTO_memcmp(entry.digest.data(), digest.data(), digest.size()) == 0) found = &entry.client;
  return found;
}

}  // namespace rf
