// Any bytes that open as GGUF: written again, they hold the same metadata and tensors, in the same order.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "gguf/writer.h"
#include "gguf_data.h"

namespace {

void expect(bool holds) {
  if (!holds) std::abort();
}

void compare(const rf::Gguf& a, const rf::Gguf& b) {
  expect(std::ranges::equal(a.keys(), b.keys()) && std::ranges::equal(a.tensor_names(), b.tensor_names()));
  for (const std::string_view key : a.keys()) {
    const rf::MetaValue &x = a.metadata().at(key), &y = b.metadata().at(key);
    expect(x.type == y.type && x.element == y.element && x.count == y.count &&
           std::ranges::equal(x.bytes, y.bytes));
  }
  for (const std::string_view name : a.tensor_names()) {
    const rf::Tensor &x = a.tensor(name), &y = b.tensor(name);
    expect(x.type == y.type && x.shape == y.shape && std::equal(x.data, x.data + x.bytes(), y.data));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string path = "/dev/shm/rf_rewrite_" + std::to_string(::getpid());
  const rf::test::MemoryFile file(std::as_bytes(std::span(data, size)));
  try {
    const rf::Gguf read = rf::Gguf::open(file.path());
    rf::GgufWriter out;
    for (const std::string_view key : read.keys()) out.copy(key, read.metadata().at(key));
    for (const std::string_view name : read.tensor_names()) {
      const rf::Tensor& tensor = read.tensor(name);
      out.add(std::string(name), tensor.type, tensor.shape,
              [&tensor](std::span<std::byte> to) { std::copy_n(tensor.data, to.size(), to.begin()); });
    }
    out.finish(path);
    compare(read, rf::Gguf::open(path));
    ::unlink(path.c_str());
  } catch (const rf::Error&) {
  }
  return 0;
}
