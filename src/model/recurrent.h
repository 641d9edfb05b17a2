// Parts of a layer with a state: they read the normed x and add what they make of it to it.
#pragma once
#include "model/builder.h"

namespace rf {

struct MixerOptions {
  SlotId add = none;  // none: x itself
  float residual_scale = 1;
};

// Mamba (arXiv:2312.00752) and Mamba 2 (arXiv:2405.21060), in the sizes of the file's ssm keys.
SlotId mamba_block(Builder& b, SlotId x, const Layer& w, const MixerOptions& options);
SlotId mamba2_block(Builder& b, SlotId x, const Layer& w, const MixerOptions& options);
// A gated delta net (arXiv:2412.06464). `tiled`: how the file orders the heads that share keys, see Scan.
SlotId delta_block(Builder& b, SlotId x, const Layer& w, bool tiled);
// Kimi's delta attention: a gated delta net with a decay for each key (arXiv:2510.26692).
SlotId kda_block(Builder& b, SlotId x, const Layer& w);
// PLaMo 2's Mamba: a time step and a decay for each head, out of low-rank vectors that are normed.
SlotId plamo_mamba_block(Builder& b, SlotId x, const Layer& w);
// LFM2's short convolution between two gates.
SlotId short_conv_block(Builder& b, SlotId x, const Layer& w);

}  // namespace rf
