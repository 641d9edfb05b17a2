// docs/formats.md holds the table that the code's own lists and the tests' case files make.
// RF_UPDATE_DOCS=1 writes it anew.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "golden.h"
#include "tensor/encode.h"
#include "tensor/formats/list.h"
#include "tensor/tiles.h"

namespace rf {
namespace {

std::string text_of(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string dot_of(Type type) {
  switch (static_cast<std::uint32_t>(type)) {
#define RF_CASE(F) \
  case F::id:      \
    return "integers in blocks";
    RF_FORMATS(RF_CASE)
#undef RF_CASE
    default:
      return !can_tile(type)                                                ? "-"
             : tiled({.type = type, .shape = {256, 16, 1, 1}}).type == type ? "floats"
                                                                            : "floats, as F32";
  }
}

// Whether tests/ops/FILE.case compares this type with the oracle on every back end and instruction set.
bool compared(Type type, const std::string& file) {
  std::string name(type_info(type).name);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  const std::string text = text_of(test::tests_folder() + "/ops/" + file + ".case");
  const auto separates = [](char c) { return std::strchr("=,+ \n", c) != nullptr; };
  for (std::size_t at = text.find(name, 1); at != std::string::npos; at = text.find(name, at + 1))
    if (separates(text[at - 1]) && separates(text[at + name.size()])) return true;
  return false;
}

std::string cases_of(Type type) {
  std::string files;
  for (const char* file : {"embed", "matmul"})
    if (compared(type, file)) files += (files.empty() ? "`" : " `") + std::string(file) + "`";
  return files.empty() ? "-" : files;
}

double bits(const TypeInfo& info) {
  return 8.0 * info.block_bytes / info.block_elements;
}

// Of an element in the CPU's memory, where that is another number.
std::string kept_bits(Type type) {
  if (!can_tile(type)) return "-";
  const TypeInfo& kept = type_info(tiled({.type = type, .shape = {256, 16, 1, 1}}, Room::spread).type);
  return bits(kept) == bits(type_info(type)) ? "" : fmt::format("{:.4g}", bits(kept));
}

std::set<std::uint32_t> recorded_types() {
  std::set<std::uint32_t> ids;
  const auto recorded = nlohmann::json::parse(std::ifstream(test::golden("quant/index.json")));
  for (const auto& entry : recorded["types"]) ids.insert(entry["ggml_id"].get<std::uint32_t>());
  return ids;
}

std::string table() {
  const std::set<std::uint32_t> recorded = recorded_types();
  std::string out =
      "| type | id | elements | bytes | bits each | on the CPU | decoding tested on | CPU dot | `quantize` | "
      "compared in `tests/ops` |\n"
      "| --- | ---: | ---: | ---: | ---: | ---: | --- | --- | --- | --- |\n";
  for (std::uint32_t id = 0; id < 256; ++id) {
    const TypeInfo* info = find_type(id);
    if (info == nullptr) continue;
    out += fmt::format("| {} | {} | {} | {} | {:.4g} | {} | {} | {} | {} | {} |\n", info->name, id,
                       info->block_elements, info->block_bytes, bits(*info), kept_bits(info->type),
                       recorded.contains(id) ? "recorded blocks" : "single values", dot_of(info->type),
                       can_encode(info->type) ? "yes" : "-", cases_of(info->type));
  }
  return out;
}

TEST(FormatsPage, IsCurrent) {
  const std::string path = test::tests_folder() + "/../docs/formats.md", page = text_of(path);
  const std::string begin = "<!-- table -->\n", end = "<!-- end of table -->";
  const std::size_t from = page.find(begin), to = page.find(end);
  ASSERT_TRUE(from != std::string::npos && to != std::string::npos) << path;
  const std::string current = page.substr(0, from + begin.size()) + table() + page.substr(to);
  if (std::getenv("RF_UPDATE_DOCS") != nullptr) std::ofstream(path) << current;
  EXPECT_EQ(page, current) << "RF_UPDATE_DOCS=1 makes it so";
}

TEST(FormatsPage, EveryTypeThatWeightsHaveIsMultipliedAndCompared) {
  for (std::uint32_t id = 0; id < 256; ++id)
    if (const TypeInfo* info = find_type(id); info != nullptr && can_tile(info->type)) {
      EXPECT_TRUE(compared(info->type, "matmul")) << info->name;
      EXPECT_TRUE(compared(info->type, "embed")) << info->name;
    }
}

}  // namespace
}  // namespace rf
