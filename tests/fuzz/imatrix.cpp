// Any bytes: reading them as an importance matrix gives an Error or entries that are written and read again.
#include "model/imatrix.h"

#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "gguf_data.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const rf::test::MemoryFile file(std::as_bytes(std::span(data, size)));
  try {
    const rf::Imatrix imatrix = rf::Imatrix::read(file.path());
    for (const auto& [name, entry] : imatrix.entries) {
      rf::Tensor tensor{.shape = {entry.columns, 1, 1, 1}};
      tensor.shape[2] = static_cast<std::int64_t>(entry.sums.size()) / entry.columns;
      for (std::int64_t m = 0; m < tensor.shape[2]; ++m) {
        const auto means = imatrix.importance(name, tensor, m);
        if (!means.empty() && means.size() != static_cast<std::size_t>(entry.columns)) std::abort();
      }
    }
  } catch (const rf::Error&) {
  }
  return 0;
}
