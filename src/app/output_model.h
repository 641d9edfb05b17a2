// What the commands that write model files share.
#pragma once
#include <string>

#include "gguf/writer.h"

namespace rf {

// Throws Error when `path` is one of the files that `file` is read from, by whatever name.
void refuse_to_overwrite(const Gguf& file, const std::string& path);
// Also where no new file can be put: a device or a folder is there, or its folder is not to be written to.
void check_output(const Gguf& file, const std::string& path);

// All metadata in its order, without the keys that say which part of a split model a file is.
void copy_metadata(const Gguf& file, GgufWriter& out);

}  // namespace rf
