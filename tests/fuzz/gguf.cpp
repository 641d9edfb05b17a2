// Any bytes: opening them gives an Error or a Gguf of which every value and tensor can be read.
#include "base/error.h"
#include "gguf_data.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const rf::test::MemoryFile file(std::as_bytes(std::span(data, size)));
  try {
    [[maybe_unused]] static volatile std::uint64_t sink;
    sink = rf::test::touch(rf::Gguf::open(file.path()));
  } catch (const rf::Error&) {
  }
  return 0;
}
