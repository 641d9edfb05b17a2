"""Families with experts whose layers are Llama's with other windows, gates or norms."""
import numpy

import golden
import hf
from hf import make
from llama_like import SPARSE, ernie_bias

WINDOWS = dict(sliding_window=8, layer_types=["sliding_attention", "full_attention"])
WINDOW_KEYS = {"attention.sliding_window": 8, "attention.sliding_window_pattern": [True, False]}
SHARED = {"model.layers.%d.mlp.shared_experts.gate_proj": "blk.%d.ffn_gate_shexp",
          "model.layers.%d.mlp.shared_experts.up_proj": "blk.%d.ffn_up_shexp",
          "model.layers.%d.mlp.shared_experts.down_proj": "blk.%d.ffn_down_shexp"}
SCORES = {"expert_count": 6, "expert_used_count": 2, "expert_shared_count": 1, "expert_gating_func": 2,
          "expert_weights_norm": True, "expert_weights_scale": 1.5, "leading_dense_block_count": 1}


def exaone(root):
    make(root, "exaone-moe", "exaone-moe", "ExaoneMoe",
         SPARSE | WINDOWS | dict(head_dim=8, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=16,
                                 num_shared_experts=1, routed_scaling_factor=1.5, first_k_dense_replace=1,
                                 mlp_layer_types=["dense", "sparse"]),
         names=SHARED | {"model.layers.%d.mlp.gate.e_score_correction_bias": "blk.%d.exp_probs_b"},
         keys=WINDOW_KEYS | SCORES, change=ernie_bias)


def mellum(root):
    make(root, "mellum", "mellum", "Mellum",
         SPARSE | WINDOWS | dict(head_dim=8, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=16,
                                 mlp_layer_types=["sparse"] * 2, rope_parameters={
                                     "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                                     "full_attention": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0,
                                                        "beta_fast": 32.0, "beta_slow": 1.0, "attention_factor": 1.2,
                                                        "original_max_position_embeddings": 32}}),
         keys=WINDOW_KEYS | {"expert_count": 6, "rope.freq_base": 10000.0, "rope.scaling.type": "yarn",
                             "rope.scaling.factor": 4.0, "rope.scaling.attn_factor": 1.2,
                             "rope.scaling.original_context_length": 32})


def hy3(root):
    make(root, "hy_v3", "hy_v3", "HYV3",
         SPARSE | dict(head_dim=16, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=16, num_shared_experts=1,
                       router_scaling_factor=1.5, mlp_layer_types=["dense", "sparse"]),
         names=SHARED | {"model.layers.%d.mlp.e_score_correction_bias": "blk.%d.exp_probs_b"},
         keys=SCORES | {"expert_gating_func": None}, change=ernie_bias)


def afmoe(root):
    make(root, "afmoe", "afmoe", "Afmoe",
         SPARSE | WINDOWS | dict(head_dim=8, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=16,
                                 num_shared_experts=1, route_scale=1.5, num_dense_layers=1, mup_enabled=True),
         names=SHARED | {"model.layers.%d.mlp.expert_bias": "blk.%d.exp_probs_b",
                         "model.layers.%d.mlp.router.gate": "blk.%d.ffn_gate_inp",
                         "model.layers.%d.self_attn.gate_proj": "blk.%d.attn_gate",
                         "model.layers.%d.post_attention_layernorm": "blk.%d.post_attention_norm",
                         "model.layers.%d.pre_mlp_layernorm": "blk.%d.ffn_norm",
                         "model.layers.%d.post_mlp_layernorm": "blk.%d.post_ffw_norm"},
         keys=WINDOW_KEYS | SCORES, change=ernie_bias)


def cohere2(root):
    """A dense layer first, which rotates though it has no window; then experts that count as much as the shared ones."""
    make(root, "cohere2moe", "cohere2moe", "Cohere2Moe",
         SPARSE | dict(head_dim=8, num_hidden_layers=3, num_experts=6, num_experts_per_tok=2, num_shared_experts=1,
                       expert_selection_fn="sigmoid", norm_topk_prob=False, prefix_dense_intermediate_size=24, logit_scale=0.5,
                       sliding_window=8, layer_types=["full_attention", "sliding_attention", "full_attention"],
                       mlp_layer_types=["dense", "sparse", "sparse"], tie_word_embeddings=True),
         names=SHARED, keys={
             "attention.layer_norm_epsilon": 1e-5, "attention.sliding_window": 8, "logit_scale": 0.5,
             "attention.sliding_window_pattern": [False, True, False], "feed_forward_length": 24, "expert_gating_func": 2,
             "expert_feed_forward_length": 16, "expert_shared_count": 1, "expert_shared_feed_forward_length": 16,
             "expert_weights_norm": False, "leading_dense_block_count": 1, "rope.dimension_count": 8,
             "rope.scaling.type": "none"})


def mimo2(root):
    """Layers with a window have twice the key heads, sinks and a base of their own."""
    kinds = ["full_attention", "sliding_attention"]
    rope = {kind: {"rope_type": "default", "rope_theta": base, "partial_rotary_factor": 0.334}
            for kind, base in zip(kinds, (10000.0, 100.0))}
    make(root, "mimo2", "mimo2", "MiMoV2Flash",
         SPARSE | dict(head_dim=12, v_head_dim=8, num_key_value_heads=1, n_routed_experts=6, num_experts_per_tok=2,
                       moe_intermediate_size=16, sliding_window=8, layer_types=kinds, mlp_layer_types=["dense", "sparse"],
                       attention_value_scale=0.707, rope_parameters=rope),
         names={"model.layers.%d.self_attn.sinks": "blk.%d.attn_sinks",
                "model.layers.%d.mlp.gate.e_score_correction_bias": "blk.%d.exp_probs_b"}, change=ernie_bias,
         keys={"attention.head_count_kv": [1, 2], "attention.sliding_window": 8, "attention.sliding_window_pattern": [0, 1],
               "attention.value_length": 8, "attention.value_scale": 0.707, "expert_count": 6, "rope.dimension_count": 4,
               "rope.freq_base": 10000.0, "rope.freq_base_swa": 100.0})


def minimax3(root):
    """Each key head has 3 blocks of 4 positions chosen for it, its own among them. Norms are 1 + weight in the class."""
    def change(tensors, config):
        ernie_bias(tensors, config)
        for name in list(tensors):
            if "norm.weight" in name:
                tensors[name] = tensors[name] + 1
            if "ffn_gate_up" in name:
                gate, up = numpy.split(tensors.pop(name), 2)
                tensors[name.replace("gate_up", "gate")], tensors[name.replace("gate_up", "up")] = gate, up
    mlp, indexer = "model.layers.%d.mlp.", "model.layers.%d.self_attn.indexer."
    make(root, "minimax-m3", "minimax-m3", "MiniMaxM3VL",
         SPARSE | dict(head_dim=8, num_local_experts=6, num_experts_per_tok=2, shared_intermediate_size=16,
                       dense_intermediate_size=24, routed_scaling_factor=2.0, rotary_dim=4, mlp_layer_types=["dense", "sparse"],
                       layer_types=["full_attention", "minimax_m3_sparse"], index_n_heads=2, index_head_dim=8, index_block_size=4,
                       index_topk_blocks=3, rope_parameters={"rope_type": "default", "rope_theta": 10000.0,
                                                             "partial_rotary_factor": 0.5}),
         names=SHARED | {mlp + "gate_up_proj": "blk.%d.ffn_gate_up", mlp + "shared_experts.gate_up_proj": "blk.%d.ffn_gate_up_shexp",
                         mlp + "gate.e_score_correction_bias": "blk.%d.exp_probs_b"} | {
                             indexer + part: "blk.%d.indexer." + part for part in ("q_proj", "k_proj", "q_norm", "k_norm")},
         change=change, keys={
             "attention.indexer.head_count": 2, "attention.indexer.key_length": 8, "attention.indexer.top_k": 3,
             "attention.indexer.block_size": 4, "attention.indexer.local_blocks": 1, "expert_feed_forward_length": 16,
             "expert_shared_count": 1, "expert_weights_scale": 2.0, "expert_weights_norm": True, "expert_gating_func": 2,
             "feed_forward_length": 24, "leading_dense_block_count": 1, "rope.dimension_count": 4, "rope.freq_base": 10000.0},
         config_class="MiniMaxM3VLTextConfig", chosen=("topk_blocks", 3))


GATE = {"model.layers.%d.self_attn.g_proj": "blk.%d.attn_gate"}


def laguna(root):
    """Gates of heads, or of elements; layers without a window have fewer heads and stretched, partial rotation."""
    rope = {"sliding_attention": {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 1.0},
            "full_attention": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "beta_fast": 32.0, "beta_slow": 1.0,
                               "attention_factor": 1.2, "original_max_position_embeddings": 32, "partial_rotary_factor": 0.5}}
    for name, gating in (("laguna", True), ("laguna-elements", "per-element")):
        make(root, name, "laguna", "Laguna",
             SPARSE | WINDOWS | dict(
                 head_dim=8, gating=gating, num_attention_heads_per_layer=[4, 2], num_experts=6, num_experts_per_tok=2,
                 moe_intermediate_size=16, shared_expert_intermediate_size=12, moe_routed_scaling_factor=1.5,
                 mlp_layer_types=["dense", "sparse"], rope_parameters=rope),
             names=SHARED | GATE | {"model.layers.%d.mlp.gate.e_score_correction_bias": "blk.%d.exp_probs_b"}, change=ernie_bias,
             keys=WINDOW_KEYS | SCORES | {
                 "attention.head_count": [4, 2], "expert_shared_feed_forward_length": 12, "rope.dimension_count": 4,
                 "rope.dimension_count_swa": 8, "rope.freq_base": 10000.0, "rope.freq_base_swa": 100.0,
                 "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.attn_factor": 1.2,
                 "rope.scaling.original_context_length": 32})


def step(root):
    """Llama 3's factors on layers without a window; gates cut in the last layer. Norms are 1 + weight in the class."""
    kinds, limit, shared_limit = ["full_attention", "sliding_attention", "full_attention"], 0.4, 0.6
    rope = {"full_attention": {"rope_type": "llama3", "rope_theta": 10000.0, "partial_rotary_factor": 0.5, "factor": 4.0,
                               "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64},
            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 1.0}}
    module, config, tensors = hf.build(
        "step35", "Step3p7TextModel", "Step3p7TextConfig",
        SPARSE | dict(num_hidden_layers=3, head_dim=16, num_attention_heads=2, pad_token_id=0, num_sliding_attention_heads=4, sliding_window=8,
                      layer_types=kinds, mlp_layer_types=["dense", "sparse", "sparse"], n_routed_experts=6,
                      num_experts_per_tok=2, moe_intermediate_size=16, share_expert_dim=12, moe_router_scaling_factor=1.5,
                      swiglu_limits=[0.0, 0.0, limit], swiglu_limits_shared=[0.0, 0.0, shared_limit], rope_parameters=rope),
        {key.removeprefix("model."): value for key, value in (hf.NAMES | SHARED | GATE | {
            "model.layers.%d.mlp.gate.e_score_correction_bias": "blk.%d.exp_probs_b"}).items()})
    hf.split_experts(tensors)
    ernie_bias(tensors, config)
    for name in tensors:
        if "norm.weight" in name:
            tensors[name] = tensors[name] + 1
    output = tensors["output.weight"] = (golden.random("step35").standard_normal((golden.VOCABULARY, 32)) / 5).astype("f4")
    rows = hf.hidden(module)
    # The file has as many factors as a whole head would need, of which the layers that turn half of it use the first.
    wave = 2 * numpy.pi * 10000.0 ** (numpy.arange(0, 8, 2) / 8)
    smooth = numpy.clip((64 / wave - 1) / 3, 0, 1)
    tensors["rope_freqs.weight"] = numpy.concatenate([1 / ((1 - smooth) / 4 + smooth), numpy.full(4, 4.0)])
    golden.make(root, "step35", "step35", SCORES | {
        "block_count": 3, "context_length": 128, "embedding_length": 32, "feed_forward_length": 16, "attention.key_length": 16,
        "attention.value_length": 16, "attention.layer_norm_rms_epsilon": config.rms_norm_eps, "expert_feed_forward_length": 16,
        "attention.head_count": [2, 4, 2], "attention.head_count_kv": [2] * 3, "attention.sliding_window": 8,
        "attention.sliding_window_pattern": [False, True, False], "expert_shared_feed_forward_length": 12,
        "rope.dimension_count": 16, "rope.freq_base": 10000.0, "rope.freq_base_swa": 100.0,
        "swiglu_clamp_exp": [0.0, 0.0, limit], "swiglu_clamp_shexp": [0.0, 0.0, shared_limit]},
        tensors, lambda ids: rows(ids) @ output.T.astype("f8"), "transformers Step3p7TextModel")


FAMILIES = [exaone, mellum, hy3, afmoe, cohere2, mimo2, minimax3, laguna, step]
