// The table of model families: one row and one file of arch/ each.
#pragma once
#include <string_view>

#include "model/builder.h"

namespace rf {

struct Family {
  std::string_view name;                      // general.architecture
  Rope::Pairs pairs = Rope::Pairs::adjacent;  // how the family's files order the rotated elements of a head
  // Which layers attention.sliding_window applies to where the file does not say: all but each `every`-th
  // one, the last of each `every` layers; 1: all, 0: none.
  int every = 0;
  void (*record)(Builder&) = nullptr;
  bool causal = true;       // where attention.causal does not say
  bool full_first = false;  // of each `every` layers the first one has no window, not the last
  // Of layers with a window, where no key says; their positions are not stretched then. 0: as of the others.
  float window_base = 0;
  int window = 0;               // of those layers, where attention.sliding_window is not there; 0: none
  bool partial_layers = false;  // a layer may lack attention or a dense network, their sizes being 0 then
};

// Whether its norms are layer norms where a file has the epsilon of both kinds, as converted files of
// ModernBERT.
bool has_layer_norms(const Family& family);

// The family of the file's general.architecture. Throws Error listing the supported ones for another.
const Family& family_of(const Gguf& file);

void record_afmoe(Builder& b);
void record_apertus(Builder& b);
void record_arcee(Builder& b);
void record_arctic(Builder& b);
void record_arwkv7(Builder& b);
void record_baichuan(Builder& b);
void record_bert(Builder& b);
void record_bitnet(Builder& b);
void record_bloom(Builder& b);
void record_chameleon(Builder& b);
void record_cohere2(Builder& b);
void record_cohere2moe(Builder& b);
void record_command_r(Builder& b);
void record_dbrx(Builder& b);
void record_deci(Builder& b);
void record_deepseek2(Builder& b);
void record_deepseek32(Builder& b);
void record_glm_dsa(Builder& b);
void record_ernie(Builder& b);
void record_exaone4(Builder& b);
void record_exaone_moe(Builder& b);
void record_falcon(Builder& b);
void record_falcon_h1(Builder& b);
void record_gemma(Builder& b);
void record_gemma2(Builder& b);
void record_gemma3(Builder& b);
void record_gemma3n(Builder& b);
void record_gemma4(Builder& b);
void record_glm4(Builder& b);
void record_glm4moe(Builder& b);
void record_gpt2(Builder& b);
void record_gpt_oss(Builder& b);
void record_gptneox(Builder& b);
void record_granite(Builder& b);
void record_granite_hybrid(Builder& b);
void record_grok(Builder& b);
void record_grovemoe(Builder& b);
void record_hunyuan(Builder& b);
void record_hy3(Builder& b);
void record_jais(Builder& b);
void record_jamba(Builder& b);
void record_jina_bert(Builder& b);
void record_kimi_linear(Builder& b);
void record_laguna(Builder& b);
void record_lfm2(Builder& b);
void record_llama(Builder& b);
void record_llama4(Builder& b);
void record_mamba(Builder& b);
void record_mamba2(Builder& b);
void record_mimo2(Builder& b);
void record_minicpm(Builder& b);
void record_minicpm3(Builder& b);
void record_minimax(Builder& b);
void record_minimax3(Builder& b);
void record_mistral3(Builder& b);
void record_modern_bert(Builder& b);
void record_mpt(Builder& b);
void record_nanbeige(Builder& b);
void record_nemotron(Builder& b);
void record_nemotron_h(Builder& b);
void record_neo_bert(Builder& b);
void record_nomic_bert(Builder& b);
void record_nomic_bert_moe(Builder& b);
void record_olmo(Builder& b);
void record_olmo2(Builder& b);
void record_olmoe(Builder& b);
void record_phi2(Builder& b);
void record_phimoe(Builder& b);
void record_plamo(Builder& b);
void record_plamo2(Builder& b);
void record_plamo3(Builder& b);
void record_plm(Builder& b);
void record_qwen35(Builder& b);
void record_qwen3next(Builder& b);
void record_refact(Builder& b);
void record_routed(Builder& b);
void record_rwkv6(Builder& b);
void record_rwkv6_qwen2(Builder& b);
void record_rwkv7(Builder& b);
void record_seed_oss(Builder& b);
void record_mellum(Builder& b);
void record_smallthinker(Builder& b);
void record_smollm3(Builder& b);
void record_stablelm(Builder& b);
void record_starcoder2(Builder& b);
void record_step35(Builder& b);
void record_talkie(Builder& b);

}  // namespace rf
