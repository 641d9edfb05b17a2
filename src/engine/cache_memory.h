// CacheMemory: what the scheduler moves about without looking into it: pages of the key/value cache and slots
// of recurrent states, as opaque bytes, wherever they lie.
#pragma once
#include <cstddef>

namespace rf {

class CacheMemory {
 public:
  virtual ~CacheMemory() = default;

  virtual std::size_t page_bytes() const = 0;
  virtual void read_page(int page, std::byte* out) = 0;
  virtual void write_page(int page, const std::byte* in) = 0;

  virtual std::size_t state_bytes() const = 0;  // of one slot; 0: the model has no recurrent states
  virtual void copy_state(int from, int to) = 0;
  virtual void read_state(int slot, std::byte* out) = 0;
  virtual void write_state(int slot, const std::byte* in) = 0;
};

}  // namespace rf
