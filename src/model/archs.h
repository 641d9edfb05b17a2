// The table of model families: one row and one file of arch/ each.
#pragma once
#include <string_view>

#include "model/builder.h"

namespace rf {

struct Family {
  std::string_view name;  // general.architecture
  Rope::Pairs pairs;      // how the family's files order the rotated elements of a head
  bool window;            // attention.sliding_window applies to every layer
  void (*record)(Builder&);
};

// The family of the file's general.architecture. Throws Error listing the supported ones for another.
const Family& family_of(const Gguf& file);

void record_llama(Builder& b);
void record_qwen2(Builder& b);
void record_qwen3(Builder& b);

}  // namespace rf
