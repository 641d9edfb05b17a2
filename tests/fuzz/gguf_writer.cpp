// What GgufWriter makes of any metadata and tensors, Gguf reads back entry by entry, byte by byte.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "gguf/writer.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

struct Written {
  std::map<std::string, std::string> texts;
  std::map<std::string, std::vector<float>> floats;
  std::map<std::string, std::vector<std::string>> lists;
  std::map<std::string, std::string> tensors;  // their bytes
};

// The fuzzer's bytes decide kinds and sizes and are the content.
class Writing {
 public:
  explicit Writing(std::string_view bytes) : rest_(bytes) {}

  Written write(const std::string& path) {
    if (byte() % 4 == 0) writer_.set("general.alignment", std::uint32_t{1} << (3 + byte() % 6));
    for (int count = byte() % 16; count > 0; --count) add_entry();
    for (int count = byte() % 8; count > 0; --count) add_tensor();
    writer_.finish(path);
    return written_;
  }

 private:
  std::uint8_t byte() { return rest_.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(take(1).front()); }
  std::string_view take(std::size_t most) {
    const std::string_view taken = rest_.substr(0, most);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  void add_entry() {
    const std::string name = std::to_string(byte() % 8);  // names come again: the last value counts
    switch (byte() % 3) {
      case 0:
        writer_.set("text." + name, written_.texts["text." + name] = take(byte()));
        break;
      case 1: {
        auto& values = written_.floats["floats." + name];
        values.assign(byte() % 32, 0.0f);
        for (float& value : values) value = static_cast<float>(byte());
        writer_.set("floats." + name, std::span<const float>(values));
        break;
      }
      default: {
        auto& values = written_.lists["list." + name];
        values.assign(byte() % 16, "");
        for (std::string& value : values) value = take(byte() % 32);
        writer_.set("list." + name, std::span<const std::string>(values));
      }
    }
  }

  void add_tensor() {
    constexpr rf::Type types[] = {rf::Type::f32, rf::Type::q4_0, rf::Type::q6_k, rf::Type::f64};
    const rf::Type type = types[byte() % std::size(types)];
    const std::string name = "tensor." + std::to_string(written_.tensors.size());
    const std::int64_t columns = 256 * (1 + byte() % 2), rows = 1 + byte() % 3;
    std::string& bytes = written_.tensors[name];
    bytes.assign(static_cast<std::size_t>(rows) * rf::row_bytes(type, columns), static_cast<char>(byte()));
    const std::string_view content = take(std::min<std::size_t>(byte(), bytes.size()));
    std::copy(content.begin(), content.end(), bytes.begin());
    writer_.add(name, type, {columns, rows, 1, 1}, [&bytes](std::span<std::byte> out) {
      std::copy_n(reinterpret_cast<const std::byte*>(bytes.data()), out.size(), out.begin());
    });
  }

  std::string_view rest_;
  rf::GgufWriter writer_;
  Written written_;
};

void compare(const Written& written, const rf::Gguf& file) {
  for (const auto& [key, text] : written.texts) require(file.get<std::string>(key) == text);
  for (const auto& [key, values] : written.floats) require(file.get<std::vector<float>>(key) == values);
  for (const auto& [key, values] : written.lists) require(file.get<std::vector<std::string>>(key) == values);
  for (const auto& [name, bytes] : written.tensors) {
    const rf::Tensor& tensor = file.tensor(name);
    require(tensor.bytes() == bytes.size());
    require(std::equal(bytes.begin(), bytes.end(), reinterpret_cast<const char*>(tensor.data)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string path =
      (std::filesystem::temp_directory_path() / ("rf_fuzz_writer_" + std::to_string(::getpid()) + ".gguf"))
          .string();
  Writing writing(std::string_view(reinterpret_cast<const char*>(data), size));
  compare(writing.write(path), rf::Gguf::open(path));
  std::filesystem::remove(path);
  return 0;
}
