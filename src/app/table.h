// Tables and figures for people.
#pragma once
#include <string>
#include <vector>

namespace rf {

// Rows as lines, columns two spaces apart as wide as their widest cell (in characters); the first
// `left_columns` are aligned to the left, the others to the right. Rows may differ in length.
std::string table(const std::vector<std::vector<std::string>>& rows, std::size_t left_columns = 1);

// "98.4 MB", "1.2 GB": decimal units, as disks and memory bandwidth are counted.
std::string size_text(double bytes);

}  // namespace rf
