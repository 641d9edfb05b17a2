// quantize: a model file written again with its matrices in other formats.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <optional>

#include "app/commands.h"
#include "app/interrupt.h"
#include "app/load.h"
#include "app/output_model.h"
#include "app/progress.h"
#include "app/table.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/team.h"
#include "gguf/writer.h"
#include "model/imatrix.h"
#include "model/mix.h"
#include "tensor/decode.h"
#include "tensor/encode.h"

namespace rf {
namespace {

constexpr std::int64_t rows_at_once = 16;

// One tensor on its way from one type to another, by all members of a team.
class Conversion {
 public:
  Conversion(std::string_view name, const Tensor& from, Type to, const Imatrix* imatrix)
      : name_(name), from_(from), to_(to), row_bytes_(row_bytes(to, from.columns())) {
    const std::int64_t matrices = from.shape[2] * from.shape[3];
    for (std::int64_t m = 0; m < matrices; ++m) {
      std::vector<float> importance;
      if (imatrix != nullptr) importance = imatrix->importance(name, from, m);
      weighted_ = weighted_ || !importance.empty();
      if (m == 0 || imatrix != nullptr) encoders_.emplace_back(to, from.columns(), importance);
    }
  }

  bool weighted() const { return weighted_; }
  double rmse() const { return std::sqrt(squares_ / static_cast<double>(from_.columns() * from_.rows())); }

  // `tell(bytes)`: on member 0, of the input done so far; returns whether to go on. Throws Error naming the
  // tensor for values that are not finite or that the type cannot hold.
  void run(Team& team, std::span<std::byte> out, const std::function<bool(std::size_t)>& tell) {
    team.run([&](int member) {
      std::vector<float> values(static_cast<std::size_t>(from_.columns())), back(values.size());
      double squares = 0;
      while (!stop_) {
        const std::int64_t first = next_.fetch_add(rows_at_once);
        if (first >= from_.rows()) break;
        const std::int64_t last = std::min(first + rows_at_once, from_.rows());
        for (std::int64_t r = first; r < last && !stop_; ++r)
          squares += convert(r, values, back, out.subspan(static_cast<std::size_t>(r) * row_bytes_));
        from_.release(first, last);
        if (member == 0 && !tell(static_cast<std::size_t>(last) * from_.row_bytes)) stop_ = true;
      }
      const std::lock_guard lock(mutex_);
      squares_ += squares;
    });
    if (!error_.empty()) throw Error(error_);
  }

 private:
  // Returns the sum of squared errors.
  double convert(std::int64_t r, std::vector<float>& values, std::vector<float>& back,
                 std::span<std::byte> out) {
    const std::int64_t columns = from_.columns(), rows = from_.shape[1];
    decode_row(from_.type, from_.row(r), columns, values.data());
    const auto finite = [](const std::vector<float>& x) {
      return std::find_if_not(x.begin(), x.end(), [](float v) { return std::isfinite(v); });
    };
    if (const auto bad = finite(values); bad != values.end()) {
      give_up(fmt::format("tensor '{}', row {}, column {}: found {}, expected finite numbers", name_, r,
                          bad - values.begin(), *bad));
      return 0;
    }
    encoders_[encoders_.size() == 1 ? 0 : static_cast<std::size_t>(r / rows)].encode(values.data(),
                                                                                     out.data());
    decode_row(to_, out.data(), columns, back.data());
    if (finite(back) != back.end()) {
      const float largest = *std::max_element(values.begin(), values.end(),
                                              [](float a, float b) { return std::abs(a) < std::abs(b); });
      give_up(fmt::format(
          "tensor '{}', row {}: {} is more than {} can hold; keep it with --tensor-type '{}=BF16'", name_, r,
          largest, type_info(to_).name, name_));
      return 0;
    }
    double squares = 0;
    for (std::size_t k = 0; k < values.size(); ++k) {
      const double away = static_cast<double>(values[k]) - static_cast<double>(back[k]);
      squares += away * away;
    }
    return squares;
  }

  void give_up(std::string why) {
    const std::lock_guard lock(mutex_);
    if (error_.empty()) error_ = std::move(why);
    stop_ = true;
  }

  const std::string_view name_;
  const Tensor& from_;
  const Type to_;
  const std::size_t row_bytes_;
  std::vector<Encoder> encoders_;  // one, or one for each matrix of the tensor
  bool weighted_ = false;
  std::atomic<std::int64_t> next_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  double squares_ = 0;
  std::string error_;
};

class Quantisation {
 public:
  Quantisation(const QuantizeOptions& options, const Gguf& file)
      : options_(options),
        file_(file),
        mix_(mix_by_name(options.type)),
        team_(options.threads > 0 ? options.threads : default_threads()) {
    if (!options.imatrix.empty()) imatrix_ = Imatrix::read(options.imatrix);
    std::vector<TypeRule> rules;
    for (const std::string& text : options.tensor_types) rules.push_back(parse_type_rule(text));
    choices_ = choose_types(file, mix_, rules, imatrix_.has_value());
    for (const TypeChoice& choice : choices_) total_ += file.tensor(choice.name).bytes();
  }

  // Throws Interrupted when Ctrl-C came.
  void run() {
    warn();
    describe();
    for (const TypeChoice& choice : choices_) {
      const Tensor& tensor = file_.tensor(choice.name);
      out_.add(std::string(choice.name), choice.type, tensor.shape,
               [this, &choice, &tensor](std::span<std::byte> to) { fill(choice, tensor, to); });
      bits_ += 8.0 * static_cast<double>(static_cast<std::size_t>(tensor.rows()) *
                                         row_bytes(choice.type, tensor.columns()));
      weights_ += static_cast<double>(tensor.columns() * tensor.rows());
    }
    out_.finish(options_.out);
  }

  double bits_per_weight() const { return weights_ > 0 ? bits_ / weights_ : 0; }

 private:
  void warn() const {
    std::size_t already = 0, unknown = 0;
    for (const TypeChoice& choice : choices_) {
      const Tensor& tensor = file_.tensor(choice.name);
      if (!choice.note.empty()) spdlog::warn("{}: {}", choice.name, choice.note);
      if (choice.type == tensor.type) continue;
      already += type_info(tensor.type).block_elements > 1 ? 1 : 0;
      if (imatrix_ && choice.name != "token_embd.weight" && choice.name != "output.weight")
        unknown += imatrix_->entries.contains(choice.name) ? 0 : 1;
    }
    if (already > 0)
      spdlog::warn(
          "{}: {} tensors are quantised already; quantising them again loses more than from F16 or F32",
          file_.path(), already);
    if (unknown > 0)
      spdlog::warn("{}: knows nothing of {} of the matrices, which are written without it", options_.imatrix,
                   unknown);
  }

  void describe() {
    copy_metadata(file_, out_);
    out_.set("general.quantization_version", std::uint32_t{2});
    out_.set("general.file_type", mix_.file_type);
    if (!imatrix_) return;
    out_.set("quantize.imatrix.file", std::string_view(options_.imatrix));
    if (!imatrix_->datasets.empty())
      out_.set("quantize.imatrix.dataset", std::string_view(imatrix_->datasets[0]));
    out_.set("quantize.imatrix.entries_count", static_cast<std::uint32_t>(imatrix_->entries.size()));
    out_.set("quantize.imatrix.chunks_count", imatrix_->chunks);
  }

  void fill(const TypeChoice& choice, const Tensor& tensor, std::span<std::byte> to) {
    const auto tell = [&](std::size_t done) {
      bar_(options_.out, done_ + done, total_);
      return !interruptible_.interrupted();
    };
    if (choice.type == tensor.type) {
      std::copy_n(tensor.data, to.size(), to.begin());
      spdlog::info("{}: {} kept", choice.name, type_info(tensor.type).name);
    } else {
      Conversion conversion(choice.name, tensor, choice.type, imatrix_ ? &*imatrix_ : nullptr);
      conversion.run(team_, to, tell);
      spdlog::info("{}: {} -> {}{}, RMSE {:.6g}", choice.name, type_info(tensor.type).name,
                   type_info(choice.type).name, conversion.weighted() ? " by importance" : "",
                   conversion.rmse());
    }
    if (interruptible_.interrupted()) throw Interrupted();
    done_ += tensor.bytes();
    bar_(options_.out, done_, total_);
  }

  const QuantizeOptions& options_;
  const Gguf& file_;
  const Mix& mix_;
  Team team_;
  std::optional<Imatrix> imatrix_;
  std::vector<TypeChoice> choices_;
  GgufWriter out_;
  ProgressBar bar_;
  Interruptible interruptible_;
  std::uint64_t done_ = 0, total_ = 0;  // bytes of the input
  double bits_ = 0, weights_ = 0;
};

}  // namespace

int quantize(const QuantizeOptions& options) {
  const std::int64_t start = now_ns();
  const Gguf file = Gguf::open(find_model(options.in));
  check_output(file, options.out);
  double bits_per_weight = 0;
  {
    Quantisation quantisation(options, file);
    quantisation.run();
    bits_per_weight = quantisation.bits_per_weight();
  }
  const Gguf written = Gguf::open(options.out);
  std::puts(fmt::format("{}: {} -> {}, {:.2f} bits per weight, {:.1f} s", options.out,
                        size_text(static_cast<double>(file.file_bytes())),
                        size_text(static_cast<double>(written.file_bytes())), bits_per_weight,
                        static_cast<double>(now_ns() - start) * 1e-9)
                .c_str());
  return 0;
}

}  // namespace rf
