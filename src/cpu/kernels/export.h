// The kernels of one instruction set, as kernels/*.cpp define them for the table. Kernel files use no std
// templates: the linker could pick their wide copies for the whole program.
#pragma once
#include "cpu/kernels.h"

namespace rf::RF_ISA {

void pack(const float* x, int columns, const PackOptions& options, int row, const PackedRows& out);
void tile_matmul(const TiledWeight& w, int t, const PackedRows& in, int rows, std::uint8_t* scratch,
                 float* out);
std::size_t scratch_bytes(const TiledWeight& w);
void store(const float* tile, int rows, int count, const Epilogue& epilogue, float* out, std::int64_t stride);
void normalise(const NormView& norm, const float* x, int n, float* out);
void store_gated(Activation activation, float clamp, const float* gate, const float* up, int rows, int count,
                 const float* gate_bias, const float* up_bias, float* out, std::int64_t stride);
void rotate(float* head, Rope::Pairs pairs, int dims, const float* cosines, const float* sines);
void store_kv(const CacheLayout& layout, std::byte* cache, const std::int32_t* pages, int position,
              int kv_head, const float* key, const float* value);
void attend_chunk(const CacheLayout& layout, const HeadTile& tile, int chunk, float* scratch,
                  Partial* partials);
void score_chunk(const CacheLayout& layout, const HeadTile& tile, const float* weights, int chunk,
                 float* scratch, float* scores);
void merge(Partial& into, const Partial& next, int count);
void finish(const Partial& p, int count, float sink, const float* gate, float* out);
void conv(const ConvTile& tile);
void scan(const ScanPart& part);
void shift(const float* now, const float* before, const float* mix, const float* side, int n, float* out);
const Kernels& table();

}  // namespace rf::RF_ISA
