"""Families with experts whose layers are Llama's with other windows, gates or norms."""
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


FAMILIES = [exaone, mellum, hy3, afmoe]
