// Checker: whether one step's operands are there and of the shapes that its op has.
#pragma once
#include <string>
#include <vector>

#include "ops/program.h"

namespace rf {

// What each op reads.
struct Form {
  const char* name;
  int linears;  // how many of Step::linear it uses
  bool input;   // reads a slot
};
const Form& form_of(Op op);

// Throws Error naming the step and the tensor.
class Checker {
 public:
  Checker(const Program& program, std::size_t index);
  void run(std::vector<bool>& written) const;  // which slots earlier steps have filled

 private:
  std::int64_t written_width() const;
  const Slot& slot(SlotId id) const { return program_.slots[static_cast<std::size_t>(id)]; }
  std::int64_t width(SlotId id) const { return slot(id).width; }
  void slots(const std::vector<bool>& written) const;
  void row() const;
  const Weight& weight(WeightId id, const char* role) const;
  // An optional f32 tensor of `elements` in all.
  void vector(WeightId id, std::int64_t elements, const char* role) const;
  void norm(const Norm& n, std::int64_t elements) const;
  // Checks a matrix, one or `matrices` of them, of `columns` columns and `rows` rows (0: any number). Returns
  // its rows.
  std::int64_t matrix(const Linear& linear, std::int64_t columns, std::int64_t rows,
                      std::int64_t matrices = 1) const;
  // Checks linear `i`, from slot `in` to `rows` (0: any number of them). Returns its rows.
  std::int64_t linear(int i, SlotId in, std::int64_t rows = 0) const;
  std::int64_t optional_linear(int i) const;
  void no_factors() const;
  void matmul() const;
  void embed() const;
  void heads() const;
  void experts() const;
  void widths(std::int64_t in, std::int64_t side, std::int64_t out) const;
  // Its state has `elements`, and no other step has it.
  void state(std::int64_t elements) const;
  void conv() const;
  void shift() const;
  void scan() const;
  void needed(WeightId id, std::int64_t elements, const char* role) const;
  void rows_equal_output(std::int64_t rows) const;
  void index() const;
  void selection() const;
  void attention() const;
  // Norms, rotation and cache of attend and index.
  void stored_heads() const;
  // Weights of one head, or of all.
  void head_norm(const Norm& n, std::int64_t dim, std::int64_t heads, const char* role) const;

  const Program& program_;
  const Step& step_;
  const Form& form_;
  std::string where_;
};

}  // namespace rf
