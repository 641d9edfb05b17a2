#include "model/archs.h"

#include <array>

#include "base/error.h"
#include "model/model.h"

namespace rf {
namespace {

constexpr std::array families{
    Family{"llama", Rope::Pairs::adjacent, true, record_llama},
    Family{"qwen2", Rope::Pairs::halves, false, record_qwen2},
    Family{"qwen3", Rope::Pairs::halves, false, record_qwen3},
};

}  // namespace

const Family& family_of(const Gguf& file) {
  const auto architecture = file.get<std::string>("general.architecture");
  std::string names;
  for (const Family& family : families) {
    if (family.name == architecture) return family;
    names += names.empty() ? "" : ", ";
    names += family.name;
  }
  fail("{}: key 'general.architecture' is '{}', which is not supported; supported are {}", file.path(),
       architecture, names);
}

Program record(const Gguf& file, const Spec& spec) {
  Builder builder(file, spec);
  family_of(file).record(builder);
  return builder.finish();
}

std::vector<std::string> supported_architectures() {
  std::vector<std::string> names;
  for (const Family& family : families) names.emplace_back(family.name);
  return names;
}

}  // namespace rf
