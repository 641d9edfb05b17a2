#include "ops/reference_cache.h"

#include <algorithm>
#include <cmath>

#include "base/half.h"

namespace rf {
namespace {

constexpr int block = 32;

float as_f16(float x) {
  return f16_to_f32(f32_to_f16(x));
}

void round_q8_0(float* x, int n) {
  float largest = 0;
  for (int i = 0; i < n; ++i) largest = std::max(largest, std::abs(x[i]));
  const float d = largest / 127, scale = as_f16(d), inverse = scale == 0 ? 0 : 1 / d;
  for (int i = 0; i < n; ++i) x[i] = std::round(x[i] * inverse) * scale;
}

void round_q4_0(float* x, int n) {
  float largest = 0, magnitude = 0;  // the first of the largest magnitude
  for (int i = 0; i < n; ++i)
    if (const float size = std::abs(x[i]); size > magnitude) magnitude = size, largest = x[i];
  const float d = largest / -8, scale = as_f16(d), inverse = scale == 0 ? 0 : 1 / d;
  for (int i = 0; i < n; ++i) {
    const float code = std::clamp(std::floor(x[i] * inverse + 8.5f), 0.f, 15.f);
    x[i] = (code - 8) * scale;
  }
}

}  // namespace

void round_to(KvType type, float* values, int n) {
  if (type == KvType::f32) return;
  if (type == KvType::f16) {
    std::transform(values, values + n, values, as_f16);
    return;
  }
  for (int i = 0; i < n; i += block)
    (type == KvType::q8_0 ? round_q8_0 : round_q4_0)(values + i, std::min(block, n - i));
}

ReferenceCache::ReferenceCache(const Cache& cache, const RunLimits& limits)
    : cache_(cache),
      type_(limits.kv),
      page_tokens_(limits.page_tokens),
      width_(static_cast<std::size_t>(cache.kv_heads) *
             static_cast<std::size_t>(cache.key_dim + cache.stored_value_dim())),
      values_(static_cast<std::size_t>(limits.cache_pages) * page_floats()) {}

void ReferenceCache::store(const std::int32_t* pages, int position, const float* keys, const float* values) {
  float* to = std::copy_n(keys, cache_.kv_heads * cache_.key_dim, at(pages, position));
  std::copy_n(values, cache_.kv_heads * cache_.stored_value_dim(), to);
  float* head = at(pages, position);
  for (int h = 0; h < cache_.kv_heads; ++h, head += cache_.key_dim) round_to(type_, head, cache_.key_dim);
  for (int h = 0; h < cache_.kv_heads; ++h, head += cache_.stored_value_dim())
    round_to(type_, head, cache_.stored_value_dim());
}

}  // namespace rf
