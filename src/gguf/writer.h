// Writes GGUF version 3 files.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/gguf.h"

namespace rf {

// Metadata first, then tensors in the order they were declared; finish() writes the file whole or not at all
// (a temporary file beside it, renamed).
class GgufWriter {
 public:
  // Setting a key again replaces its value.
  void set(std::string key, bool value);
  void set(std::string key, std::uint16_t value);
  void set(std::string key, std::uint32_t value);
  void set(std::string key, std::int32_t value);
  void set(std::string key, std::uint64_t value);
  void set(std::string key, float value);
  void set(std::string key, std::string_view value);
  void set(std::string key, const char* value) { set(std::move(key), std::string_view(value)); }
  void set(std::string key, std::span<const std::string> values);
  void set(std::string key, std::span<const float> values);
  void set(std::string key, std::span<const std::int32_t> values);
  void copy(std::string_view key, const MetaValue& value);  // an entry of another file, as it is stored there

  // `fill` is called once, during finish(), to write the tensor's bytes.
  void add(std::string name, Type type, std::array<std::int64_t, 4> shape,
           std::function<void(std::span<std::byte>)> fill);

  void finish(const std::string& path);  // throws Error naming the path

 private:
  void put(std::string key, std::vector<std::byte> encoded);
  std::uint64_t alignment() const;  // as the metadata says, else the format's default

  std::vector<std::pair<std::string, std::vector<std::byte>>> metadata_;  // key, encoded type and value
  struct Declared {
    std::string name;
    Type type;
    std::array<std::int64_t, 4> shape;
    std::function<void(std::span<std::byte>)> fill;
  };
  std::vector<Declared> tensors_;
};

}  // namespace rf
