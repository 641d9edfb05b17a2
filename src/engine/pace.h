// Pace: how much of prompts a step may read so that those who are being answered do not wait too long for
// their next token. It learns from the time that steps took.
#pragma once
#include <cstdint>

namespace rf {

class Pace {
 public:
  // A step with decoding rows is to take at most `gap` times (above 1) what it would take without prompts; on
  // the average where even one row takes longer: steps without any make up for it.
  Pace(double gap, int most_rows) : gap_(gap), most_rows_(most_rows) {}

  // A step took so long, with so many decoding rows and so many rows of prompts.
  void note(std::int64_t ns, int decoding, int prompts);
  // Rows of prompts that the next step may have beside decoding ones; 0: none, to see what that takes.
  int prompt_rows() const;

 private:
  double spare_ns() const;  // of a step, for prompts

  double gap_;
  int most_rows_;
  double decode_ns_ = 0;      // of a step without prompts; 0: not known
  double prompt_row_ns_ = 0;  // of a row of a prompt beside decoding ones; 0: not known
  double alone_row_ns_ = 0;   // likewise in a step of prompts alone
  int decoding_ = 0;          // rows that decode_ns_ is of
  int since_look_ = 0;        // steps with prompts since then
  double debt_ns_ = 0;        // that they took too long
};

}  // namespace rf
