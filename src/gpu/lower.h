// Lowering: a step made into kernel launches for batches of up to so many rows.
#pragma once
#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "gpu/device.h"
#include "gpu/layout.h"

namespace rf::gpu {

// What launches are made for: any batch within it runs by them.
struct Bucket {
  int rows = 1, wanted = 1;
  bool single = true;    // there may be sequences of one row
  bool several = false;  // there may be sequences of more
  bool best = false;     // of the logits, the best will do
  // Up to 8 rows are counted exactly.
  bool one_row_each() const { return !several && rows <= matvec_rows; }
  bool operator==(const Bucket&) const = default;
};

// n / by, rounded up.
constexpr std::int64_t divided(std::int64_t n, std::int64_t by) {
  return (n + by - 1) / by;
}

// Rows go through one of a tensor's matrices each.
bool one_of_many(Op op);
// What kernels call it.
ActivationKind kind_of(Activation activation);

// The smallest bucket that holds the batch.
Bucket bucket_of(const Batch& batch);

class Lowering {
 public:
  Lowering(const Layout& layout, const DeviceInfo& device, const Bucket& bucket)
      : layout_(layout), device_(device), bucket_(bucket) {}

  // Appends the launches of one step. A step that kernels cannot do appends launches of kernels that are not
  // there (see find_kernel).
  void step(const Step& step);
  // What attention steps with this rope need once a batch.
  void rope(const Rope& rope);
  // The best of the logits, after all steps.
  void best();

  std::vector<Launch>& launches() { return launches_; }

 private:
  // Rows going through matrices: what products of all kinds have in common.
  struct Product {
    std::vector<Matrix> matrices{};
    std::vector<Type> types{};
    bool gated = false;
    const float* x = nullptr;
    std::int64_t x_stride = 0, x_part_stride = 0;
    const std::int32_t* from = nullptr;
    NormView norm{};
    RowCount count{};
    int parts = 1, in_parts = 1;
    const float* routes = nullptr;
    int experts = 0;           // 0: part p goes through matrix p
    bool weigh = false;        // products by their route's weight
    bool weigh_input = false;  // what goes in
    Epilogue epilogue{};
    float* out = nullptr;
    std::int64_t out_stride = 0, part_stride = 0;
    SlotId packs = none;  // the slot that `out` is, where the next step wants it quantised too
  };
  void embed(const Step& step);
  void qkv(const Step& step);
  void matmul(const Step& step);
  void gate_up(const Step& step);
  void heads(const Step& step);
  void logits(const Step& step);
  void route(const Step& step);
  void experts_up(const Step& step);
  void experts_down(const Step& step);
  void attend(const Step& step);
  void conv(const Step& step);
  void shift(const Step& step);
  void scan(const Step& step);
  void row(const Step& step);

  // Rows go through matrices of their own.
  static bool by_part(const Product& product) { return product.parts > 1 || product.routes != nullptr; }
  // Its quantised matrices go through rf_matvec_FORMAT, row by row.
  static bool by_row(const Product& product) {
    return product.matrices[0].columns <= matvec_columns &&
           product.count.rows <= (by_part(product) ? matvec_rows : 1);
  }
  // Its quantised matrices go through rf_matmul_16_FORMAT or rf_matmul_32_FORMAT, which read rows laid out
  // for them.
  static bool by_few(const Product& product) {
    return !by_part(product) && product.count.rows <= matmul_few_rows && !by_row(product);
  }
  Product product(const Step& step, std::initializer_list<int> linears) const;
  void multiply(Product product);
  void multiply_type(const Product& product, Type type, const Packed& in, bool beside);
  // gate and up of different types: each by itself, then together.
  void multiply_apart(const Product& product);
  Packed pack(const Product& product);
  void group(const Product& product);
  void finish(const Step& step, const float* x, std::int64_t columns, int terms);
  AttentionView attention_view(const Attention& a) const;

  // The slot whose only row this step has left quantised in the layout's packed rows, and the step before.
  SlotId packed_ = none, packed_before_ = none;

  // Up to 8 rows are counted exactly: none needs to ask.
  RowCount rows() const {
    return {bucket_.rows <= matvec_rows ? nullptr : layout_.batch().counts, 0, bucket_.rows};
  }
  int sequences() const { return std::min(layout_.limits().batch.sequences, bucket_.rows); }
  RowCount wanted() const { return {layout_.batch().counts, 1, bucket_.wanted}; }
  static Epilogue plain() {
    Epilogue epilogue{};
    epilogue.scale = epilogue.out_scale = 1;
    return epilogue;
  }

  // A launch of a kernel with its one argument and its grid.
  template <class Params>
  void add(std::string_view kernel, const Params& params, std::int64_t x, std::int64_t y = 1,
           std::int64_t z = 1, std::uint32_t lds = 0) {
    add_launch(kernel, std::as_bytes(std::span(&params, 1)), x, y, z, lds);
  }
  void add_launch(std::string_view kernel, std::span<const std::byte> params, std::int64_t x, std::int64_t y,
                  std::int64_t z, std::uint32_t lds);

  const Layout& layout_;
  const DeviceInfo& device_;
  Bucket bucket_;
  std::vector<Launch> launches_;
};

}  // namespace rf::gpu
