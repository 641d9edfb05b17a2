#include "ops/backend.h"

#include <array>

#include "base/error.h"

namespace rf {
namespace {

constexpr std::array<const char*, 4> kv_names{"f32", "f16", "q8_0", "q4_0"};  // in KvType's order

}  // namespace

const char* kv_name(KvType type) {
  return kv_names[static_cast<std::size_t>(type)];
}

double kv_element_bytes(KvType type) {
  constexpr std::array bytes{4.0, 2.0, 34.0 / 32, 18.0 / 32};
  return bytes[static_cast<std::size_t>(type)];
}

KvType kv_by_name(const std::string& name) {
  for (std::size_t i = 0; i < kv_names.size(); ++i)
    if (name == kv_names[i]) return static_cast<KvType>(i);
  fail("cache type '{}' is unknown; expected f32, f16, q8_0 or q4_0", name);
}

}  // namespace rf
