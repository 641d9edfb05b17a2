// Keys: who may use the server, and before whom.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace rf {

struct Client {
  std::string name;
  int priority = 0;  // -100 to 100, higher ones first
};

class Keys {
 public:
  // `keys` themselves, and those in `file` ("" for none), a line each: KEY [name=NAME] [priority=N]; # begins
  // a comment. Throws Error naming the file and line.
  Keys(const std::vector<std::string>& keys, const std::string& file);

  bool any() const { return !entries_.empty(); }
  // nullptr where the key is not known. Takes the same time whichever it is and however much of it is right.
  const Client* find(std::string_view key) const;

 private:
  struct Entry {
    std::string digest;  // SHA-256 of the key
    Client client;
  };
  void add(std::string_view key, Client client);

  std::vector<Entry> entries_;
};

}  // namespace rf
