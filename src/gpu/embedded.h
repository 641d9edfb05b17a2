// The table of code objects that the build makes (cmake/gpu_objects.cmake); empty where it makes none.
#pragma once
#include <span>
#include <string_view>

namespace rf::gpu {

struct EmbeddedObject {
  std::string_view target, family;
  const char *begin, *end;  // a zstd frame
};
std::span<const EmbeddedObject> embedded_objects();

}  // namespace rf::gpu
