#include "model/imatrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "gguf/writer.h"

namespace rf {
namespace {

constexpr std::string_view sums_suffix = ".in_sum2", counts_suffix = ".counts";

// A number of a file that sums squares or counts rows.
double amount(const std::string& path, std::string_view tensor, float value) {
  if (!std::isfinite(value) || value < 0)
    fail("{}: tensor '{}': found {}, expected finite numbers of at least 0", path, tensor, value);
  return static_cast<double>(value);
}

std::vector<double> amounts(const Gguf& file, std::string_view name) {
  const Tensor& tensor = file.tensor(name);
  if (tensor.type != Type::f32)
    fail("{}: tensor '{}' is {}, expected F32", file.path(), name, type_info(tensor.type).name);
  std::vector<double> values;
  for (std::int64_t k = 0; k < tensor.columns() * tensor.rows(); ++k) {
    float value;
    std::memcpy(&value, tensor.data + static_cast<std::size_t>(k) * sizeof value, sizeof value);
    values.push_back(amount(file.path(), name, value));
  }
  return values;
}

// The older format: 32-bit counts, names and f32 values one after the other, all little-endian.
class DatReader {
 public:
  DatReader(std::span<const std::byte> file, const std::string& path) : file_(file), path_(path) {}

  bool at_end() const { return at_ == file_.size(); }
  std::span<const std::byte> take(std::size_t bytes) {
    if (bytes > file_.size() - at_)
      fail("{}: not an importance matrix: {} bytes wanted at offset {} of {}", path_, bytes, at_,
           file_.size());
    const auto part = file_.subspan(at_, bytes);
    at_ += bytes;
    return part;
  }
  std::int32_t number(std::int32_t least) {
    std::int32_t value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    if (value < least)
      fail("{}: not an importance matrix: {} at offset {}, expected at least {}", path_, value,
           at_ - sizeof value, least);
    return value;
  }
  std::string text() {
    const auto bytes = take(static_cast<std::size_t>(number(0)));
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

 private:
  std::span<const std::byte> file_;
  const std::string& path_;
  std::size_t at_ = 0;
};

std::vector<float> to_floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

}  // namespace

Imatrix Imatrix::read(const std::string& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  if (bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0) return read_gguf(path);
  return read_dat(bytes, path);
}

Imatrix Imatrix::read_gguf(const std::string& path) {
  const Gguf file = Gguf::open(path);
  Imatrix out;
  out.origin = path;
  if (const auto type = file.get<std::string>("general.type", ""); type != "imatrix")
    fail("{}: key 'general.type' is '{}', expected 'imatrix'", path, type);
  out.datasets = file.get<std::vector<std::string>>("imatrix.datasets", {});
  out.chunks = file.get<std::uint32_t>("imatrix.chunk_count", 0);
  out.chunk_tokens = file.get<std::uint32_t>("imatrix.chunk_size", 0);
  for (const auto& [name, tensor] : file.tensors()) {
    if (!name.ends_with(sums_suffix)) continue;
    const std::string of(name.substr(0, name.size() - sums_suffix.size()));
    Entry entry{tensor.columns(), amounts(file, name), amounts(file, of + std::string(counts_suffix))};
    if (static_cast<std::int64_t>(entry.counts.size()) != tensor.rows())
      fail("{}: tensor '{}{}' has {} counts, expected {}", path, of, counts_suffix, entry.counts.size(),
           tensor.rows());
    out.entries.emplace(of, std::move(entry));
  }
  if (out.entries.empty()) fail("{}: holds no tensor NAME{}", path, sums_suffix);
  return out;
}

Imatrix Imatrix::read_dat(std::span<const std::byte> file, const std::string& path) {
  DatReader in(file, path);
  Imatrix out;
  out.origin = path;
  const std::int32_t count = in.number(1);
  for (std::int32_t i = 0; i < count; ++i) {
    const std::string name = in.text();
    const double calls = in.number(0);  // what the values are sums over
    const std::int32_t columns = in.number(1);
    Entry entry{columns, {}, {std::max(calls, 1.0)}};
    const auto values = in.take(static_cast<std::size_t>(columns) * sizeof(float));
    for (std::size_t at = 0; at < values.size(); at += sizeof(float)) {
      float value;
      std::memcpy(&value, values.data() + at, sizeof value);
      entry.sums.push_back(amount(path, name, value));
    }
    out.entries.insert_or_assign(name, std::move(entry));
  }
  if (!in.at_end()) out.chunks = static_cast<std::uint32_t>(in.number(0));
  if (!in.at_end()) out.datasets = {in.text()};
  return out;
}

void Imatrix::write(const std::string& path) const {
  GgufWriter out;
  out.set("general.type", "imatrix");
  out.set("imatrix.datasets", std::span<const std::string>(datasets));
  out.set("imatrix.chunk_count", chunks);
  out.set("imatrix.chunk_size", chunk_tokens);
  const auto add = [&](const std::string& name, std::int64_t columns, const std::vector<double>& values) {
    const auto rows = static_cast<std::int64_t>(values.size()) / columns;
    out.add(name, Type::f32, {columns, rows, 1, 1}, [floats = to_floats(values)](std::span<std::byte> to) {
      std::memcpy(to.data(), floats.data(), to.size());
    });
  };
  for (const auto& [name, entry] : entries) {
    add(name + std::string(sums_suffix), entry.columns, entry.sums);
    add(name + std::string(counts_suffix), 1, entry.counts);
  }
  out.finish(path);
}

void Imatrix::add(const std::string& tensor, std::int64_t matrix, std::int64_t matrices,
                  std::span<const float> row) {
  Entry& entry = entries[tensor];
  if (entry.columns == 0) {
    entry.columns = static_cast<std::int64_t>(row.size());
    entry.counts.resize(static_cast<std::size_t>(matrices));
    entry.sums.resize(static_cast<std::size_t>(matrices) * row.size());
  }
  entry.counts[static_cast<std::size_t>(matrix)] += 1;
  double* sums = entry.sums.data() + static_cast<std::size_t>(matrix) * row.size();
  for (std::size_t k = 0; k < row.size(); ++k)
    sums[k] += static_cast<double>(row[k]) * static_cast<double>(row[k]);
}

std::vector<float> Imatrix::importance(std::string_view name, const Tensor& tensor,
                                       std::int64_t matrix) const {
  const auto found = entries.find(name);
  if (found == entries.end()) return {};
  const Entry& entry = found->second;
  const auto columns = static_cast<std::size_t>(tensor.columns()), size = entry.sums.size();
  const auto matrices = static_cast<std::size_t>(tensor.shape[2] * tensor.shape[3]);
  if (size != columns && size != columns * matrices)
    fail("{}: '{}' has {} values, expected {} columns of {} matrices", origin, name, size, columns, matrices);
  const std::size_t which = size == columns ? 0 : static_cast<std::size_t>(matrix);
  const double count = entry.counts[entry.counts.size() == 1 ? 0 : which];
  if (count == 0) return {};
  std::vector<float> means(columns);
  for (std::size_t k = 0; k < columns; ++k)
    means[k] = static_cast<float>(entry.sums[which * columns + k] / count);
  return means;
}

}  // namespace rf
