// Variants of a golden file: its metadata and tensors with a few changes, written to a temporary folder.
#pragma once
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <set>

#include "gguf/writer.h"

namespace rf::test {

struct Changes {
  std::set<std::string> without{};         // keys and tensors to leave out
  std::function<void(GgufWriter&)> add{};  // keys and tensors to set
  std::map<std::string, Type> retyped{};   // tensors to declare with another type, filled with zeros
  std::map<std::string, std::array<std::int64_t, 4>> reshaped{};  // likewise with another shape
};

// A file that is gone with this object.
class Variant {
 public:
  Variant(const std::string& source, const Changes& changes) {
    static int count = 0;
    folder_ = std::filesystem::temp_directory_path() / fmt::format("rf_variant_{}_{}", ::getpid(), ++count);
    std::filesystem::create_directories(folder_);
    const Gguf file = Gguf::open(source);
    GgufWriter writer;
    for (const auto& [key, value] : file.metadata())
      if (!changes.without.contains(std::string(key))) writer.copy(key, value);
    for (const auto& [name, tensor] : file.tensors()) {
      const std::string key(name);
      if (changes.without.contains(key)) continue;
      const auto type = changes.retyped.find(key);
      const auto shape = changes.reshaped.find(key);
      writer.add(key, type == changes.retyped.end() ? tensor.type : type->second,
                 shape == changes.reshaped.end() ? tensor.shape : shape->second,
                 [data = tensor.data, bytes = tensor.bytes()](std::span<std::byte> out) {
                   std::memset(out.data(), 0, out.size());
                   std::memcpy(out.data(), data, std::min(out.size(), bytes));
                 });
    }
    if (changes.add) changes.add(writer);
    writer.finish(path());
  }
  ~Variant() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Variant(const Variant&) = delete;
  Variant& operator=(const Variant&) = delete;
  std::string path() const { return (folder_ / "model.gguf").string(); }

 private:
  std::filesystem::path folder_;
};

}  // namespace rf::test
