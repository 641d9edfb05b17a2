// The file of a page: an Error, or one that is written as it was read.
#include "engine/page_file.h"

#include <algorithm>
#include <cstdlib>

#include "base/error.h"

namespace {

void round_trip(std::span<const std::byte> whole) {
  try {
    const rf::PageFile file = rf::parse_page_file(whole);
    const std::string head = rf::page_file_head(file);
    const auto written = std::as_bytes(std::span(head));
    if (written.size() + file.bytes.size() != whole.size() ||
        !std::ranges::equal(written, whole.first(written.size())))
      std::abort();
  } catch (const rf::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  round_trip(std::as_bytes(std::span(data, size)));
  if (size < 8) return 0;
  // No input has the right checksum by chance: also what a writer makes of it, and that with a bit changed.
  const auto bytes = std::as_bytes(std::span(data, size));
  rf::PageFile file{.kind = static_cast<rf::Kept>(data[0] % 2), .identity = data[1], .bytes = bytes};
  for (std::size_t i = 0; i < data[2] % 16u; ++i) file.tokens.push_back(data[i % size]);
  std::string whole = rf::page_file_head(file);
  whole.append(reinterpret_cast<const char*>(data), size);
  round_trip(std::as_bytes(std::span(whole)));
  const std::size_t bit = (data[3] * 256u + data[4]) % (whole.size() * 8);
  whole[bit / 8] = static_cast<char>(whole[bit / 8] ^ 1 << bit % 8);
  try {
    rf::parse_page_file(std::as_bytes(std::span(whole)));
    std::abort();
  } catch (const rf::Error&) {
  }
  return 0;
}
