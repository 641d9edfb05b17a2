#include "gpu/objects.h"

#include <zstd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <set>

#include "base/error.h"
#include "gpu/embedded.h"

namespace rf::gpu {
namespace {

std::string unpacked(const EmbeddedObject& object) {
  const auto bytes = static_cast<std::size_t>(object.end - object.begin);
  const auto size = ZSTD_getFrameContentSize(object.begin, bytes);
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN)
    fail("the code object {} for {} in this binary is damaged", object.family, object.target);
  std::string image(size, '\0');
  const std::size_t got = ZSTD_decompress(image.data(), image.size(), object.begin, bytes);
  if (ZSTD_isError(got) != 0)
    fail("the code object {} for {} in this binary is damaged: {}", object.family, object.target,
         ZSTD_getErrorName(got));
  return image;
}

bool has_target(std::string_view target) {
  return std::ranges::any_of(embedded_objects(), [&](const EmbeddedObject& o) { return o.target == target; });
}

// LLVM's generic targets and what runs them.
std::string generic_of(std::string_view arch) {
  const auto in = [&](std::initializer_list<std::string_view> names) {
    return std::ranges::find(names, arch) != names.end();
  };
  if (in({"gfx900", "gfx902", "gfx904", "gfx906", "gfx909", "gfx90c"})) return "gfx9-generic";
  if (in({"gfx1010", "gfx1011", "gfx1012", "gfx1013"})) return "gfx10-1-generic";
  if (arch.starts_with("gfx103")) return "gfx10-3-generic";
  if (arch.starts_with("gfx11")) return "gfx11-generic";
  if (arch.starts_with("gfx12")) return "gfx12-generic";
  return "";
}

// The PTX module with only some of its kernels.
std::string only(const std::string& ptx, const std::set<std::string_view>& wanted, bool& any) {
  constexpr std::string_view entry = ".visible .entry ";
  std::string chosen;
  std::size_t at = 0;
  for (;;) {
    const std::size_t begin = ptx.find(entry, at);
    chosen.append(ptx, at, begin == std::string::npos ? begin : begin - at);
    if (begin == std::string::npos) return chosen;
    const std::size_t name = begin + entry.size(), name_end = ptx.find('(', name);
    std::size_t end = ptx.find("\n}", name_end);
    if (name_end == std::string::npos || end == std::string::npos) return ptx;
    end += 2;
    if (wanted.contains(std::string_view(ptx).substr(name, name_end - name))) {
      chosen.append(ptx, begin, end - begin);
      any = true;
    }
    at = end;
  }
}

}  // namespace

std::string target_for(std::string_view arch) {
  if (arch.starts_with("gfxsim")) return std::string(arch);
  if (has_target(arch)) return std::string(arch);
  if (const std::string generic = generic_of(arch); has_target(generic)) return generic;
  // PTX runs on what it was made for and everything later.
  if (!arch.starts_with("sm_")) return "";
  const int device = std::atoi(std::string(arch.substr(3)).c_str());
  int best = 0;
  for (const std::string& target : targets())
    if (target.starts_with("ptx"))
      if (const int made_for = std::atoi(target.c_str() + 3); made_for <= device)
        best = std::max(best, made_for);
  return best > 0 ? fmt::format("ptx{}", best) : "";
}

std::vector<std::string> targets() {
  std::vector<std::string> names;
  for (const EmbeddedObject& object : embedded_objects())
    if (std::ranges::find(names, object.target) == names.end()) names.emplace_back(object.target);
  return names;
}

std::vector<std::string> images_for(std::string_view arch, std::span<const std::string_view> kernels) {
  const std::string target = target_for(arch);
  // The simulated device has its kernels compiled in.
  if (target.starts_with("gfxsim")) return {"rocmforge simulated device"};
  const std::set<std::string_view> wanted(kernels.begin(), kernels.end());
  std::vector<std::string> images;
  for (const EmbeddedObject& object : embedded_objects()) {
    if (object.target != target) continue;
    std::string image = unpacked(object);
    if (target.starts_with("ptx")) {
      bool any = false;
      image = only(image, wanted, any);
      if (!any) continue;
    } else if (std::ranges::none_of(kernels,
                                    [&](std::string_view k) { return image.find(k) != std::string::npos; })) {
      continue;
    }
    images.push_back(std::move(image));
  }
  return images;
}

}  // namespace rf::gpu
