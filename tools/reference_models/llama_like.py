"""Families whose layers are Llama's with a difference or two."""
import numpy

from hf import interleaved, make

SMALL = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=128, tie_word_embeddings=False, pad_token_id=None, bos_token_id=None, eos_token_id=None)
SPARSE = SMALL | dict(intermediate_size=16)


def plus_one(tensors, _config):
    for name in tensors:
        if "norm.weight" in name:
            tensors[name] = tensors[name] + 1


def fused_qkv(tensors, _config):
    """The file has query, key and value as one matrix."""
    for name in [n for n in tensors if ".attn_q." in n]:
        parts = [tensors.pop(name.replace("attn_q", f"attn_{part}")) for part in "qkv"]
        tensors[name.replace("attn_q", "attn_qkv")] = numpy.concatenate(parts)


def olmo(root):
    make(root, "olmo", "olmo", "Olmo", SMALL | dict(clip_qkv=1.5), interleave=True,
         keys={"attention.layer_norm_epsilon": 1e-5, "attention.clamp_kqv": 1.5})
    make(root, "olmoe", "olmoe", "Olmoe", SPARSE | dict(num_experts=6, num_experts_per_tok=2, norm_topk_prob=False))
    make(root, "olmo3", "olmo2", "Olmo3", SMALL | dict(num_hidden_layers=4, sliding_window=8, layer_types=[
        "sliding_attention", "sliding_attention", "sliding_attention", "full_attention"],
        rope_parameters={"sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}, "full_attention": {
            "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "beta_fast": 32.0, "beta_slow": 1.0,
            "original_max_position_embeddings": 32, "attention_factor": 1.2}}),
         names={"model.layers.%d.post_attention_layernorm": "blk.%d.post_attention_norm",
                "model.layers.%d.post_feedforward_layernorm": "blk.%d.post_ffw_norm"},
         keys={"attention.sliding_window": 8, "rope.freq_base": 10000.0, "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
               "attention.sliding_window_pattern": [True, True, True, False],
               "rope.scaling.attn_factor": 1.2, "rope.scaling.original_context_length": 32})


def granite(root):
    experts = {"model.layers.%d.block_sparse_moe.router": "blk.%d.ffn_gate_inp",
               "model.layers.%d.block_sparse_moe.experts.gate_up_proj": "blk.%d.ffn_gate_up_exps",
               "model.layers.%d.block_sparse_moe.experts.down_proj": "blk.%d.ffn_down_exps"}
    factors = dict(embedding_multiplier=3.0, residual_multiplier=0.6, logits_scaling=4.0, attention_multiplier=0.2)
    keys = {"embedding_scale": 3.0, "residual_scale": 0.6, "logit_scale": 4.0, "attention.scale": 0.2}
    def shared(tensors, _config):
        for name in [n for n in tensors if "ffn_gate_up_shexp" in n]:
            gate, up = numpy.split(tensors.pop(name), 2)
            tensors[name.replace("gate_up", "gate")], tensors[name.replace("gate_up", "up")] = gate, up
    make(root, "granitemoe", "granitemoe", "GraniteMoeShared",
         SPARSE | factors | dict(num_local_experts=6, num_experts_per_tok=2, shared_intermediate_size=16),
         names=experts | {"model.layers.%d.shared_mlp.input_linear": "blk.%d.ffn_gate_up_shexp",
                          "model.layers.%d.shared_mlp.output_linear": "blk.%d.ffn_down_shexp"},
         keys=keys | {"expert_shared_feed_forward_length": 16}, interleave=True, change=shared)
    # MiniCPM is the same computation under other names of its factors (arXiv:2404.06395).
    make(root, "minicpm", "minicpm", "Granite",
         SMALL | dict(embedding_multiplier=12.0, residual_multiplier=1.4 / 2 ** 0.5, logits_scaling=2.0,
                      attention_multiplier=8 ** -0.5),
         keys={"embedding_scale": 12.0, "residual_scale": 1.4 / 2 ** 0.5, "logit_scale": 2.0}, interleave=True)


def nemotron(root):
    make(root, "nemotron", "nemotron", "Nemotron",
         SMALL | dict(norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 10000.0,
                                                      "partial_rotary_factor": 0.5}, head_dim=None),
         keys={"attention.layer_norm_epsilon": 1e-5, "rope.dimension_count": 4}, change=plus_one)


def ernie(root):
    make(root, "ernie4_5", "ernie4_5", "Ernie4_5", SMALL | dict(use_bias=True, head_dim=16))
    make(root, "ernie4_5-moe", "ernie4_5-moe", "Ernie4_5_Moe",
         SPARSE | dict(moe_num_experts=6, moe_k=2, moe_intermediate_size=16, moe_num_shared_experts=2,
                      moe_layer_start_index=1, moe_layer_end_index=1, moe_layer_interval=1, use_bias=False),
         names={"model.layers.%d.mlp.gate.moe_statics.e_score_correction_bias": "blk.%d.exp_probs_b",
                "model.layers.%d.mlp.shared_experts.gate_proj": "blk.%d.ffn_gate_shexp",
                "model.layers.%d.mlp.shared_experts.up_proj": "blk.%d.ffn_up_shexp",
                "model.layers.%d.mlp.shared_experts.down_proj": "blk.%d.ffn_down_shexp"},
         keys={"expert_count": 6, "expert_used_count": 2, "expert_shared_count": 2, "leading_dense_block_count": 1,
               "interleave_moe_layer_step": 1, "expert_shared_feed_forward_length": 32}, change=ernie_bias)


def ernie_bias(tensors, _config):
    for name in [n for n in tensors if "exp_probs_b" in n]:
        tensors[name.replace(".weight", ".bias")] = tensors.pop(name).reshape(-1)


def hunyuan(root):
    norms = {"model.layers.%d.self_attn.query_layernorm": "blk.%d.attn_q_norm",
             "model.layers.%d.self_attn.key_layernorm": "blk.%d.attn_k_norm"}
    make(root, "hunyuan-dense", "hunyuan-dense", "HunYuanDenseV1", SMALL | dict(head_dim=16), names=norms)
    make(root, "hunyuan-moe", "hunyuan-moe", "HunYuanMoEV1",
         SPARSE | dict(head_dim=8, num_experts=6, moe_topk=2, num_shared_expert=1),
         names=norms | {"model.layers.%d.mlp.gate.wg": "blk.%d.ffn_gate_inp",
                        "model.layers.%d.mlp.shared_mlp.gate_proj": "blk.%d.ffn_gate_shexp",
                        "model.layers.%d.mlp.shared_mlp.up_proj": "blk.%d.ffn_up_shexp",
                        "model.layers.%d.mlp.shared_mlp.down_proj": "blk.%d.ffn_down_shexp"},
         keys={"expert_used_count": 2, "expert_shared_feed_forward_length": 16})


def mistral3(root):
    make(root, "mistral3", "mistral3", "Ministral3",
         SMALL | dict(head_dim=16, sliding_window=None, rope_parameters={
             "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16,
             "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1}),
         keys={"attention.temperature_scale": 0.1, "rope.dimension_count": 16, "rope.scaling.type": "yarn",
               "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 16, "rope.scaling.yarn_beta_fast": 32.0,
               "rope.scaling.yarn_beta_slow": 1.0, "rope.scaling.yarn_log_multiplier": 1.0}, interleave=True)


def others(root):
    make(root, "seed_oss", "seed_oss", "SeedOss", SMALL | dict(head_dim=16, attention_bias=True, attention_out_bias=False),
         names={"model.layers.%d.post_attention_layernorm": "blk.%d.post_attention_norm"})
    make(root, "arcee", "arcee", "Arcee", SMALL | dict(head_dim=8), interleave=True)
    make(root, "chatglm", "chatglm", "Glm",
         SMALL | dict(head_dim=8, attention_bias=True, rope_parameters={"rope_type": "default", "rope_theta": 10000.0,
                                                                        "partial_rotary_factor": 0.5}),
         names={"model.layers.%d.mlp.gate_up_proj": "blk.%d.ffn_up"}, change=fused_qkv,
         keys={"rope.dimension_count": 4, "attention.key_length": None, "attention.value_length": None})
    make(root, "dots1", "dots1", "Dots1",
         SPARSE | dict(head_dim=8, n_routed_experts=6, num_experts_per_tok=2, moe_intermediate_size=16, n_shared_experts=1,
                      first_k_dense_replace=1, n_group=1, topk_group=1, routed_scaling_factor=1.5, norm_topk_prob=True,
                      layer_types=["full_attention"] * 2, sliding_window=None),
         names={"model.layers.%d.mlp.gate.e_score_correction_bias": "blk.%d.exp_probs_b",
                "model.layers.%d.mlp.shared_experts.gate_proj": "blk.%d.ffn_gate_shexp",
                "model.layers.%d.mlp.shared_experts.up_proj": "blk.%d.ffn_up_shexp",
                "model.layers.%d.mlp.shared_experts.down_proj": "blk.%d.ffn_down_shexp"},
         keys={"expert_count": 6, "expert_shared_count": 1, "leading_dense_block_count": 1, "expert_weights_scale": 1.5,
               "expert_weights_norm": True, "expert_gating_func": 2}, change=ernie_bias)


def apertus(root):
    """The numbers of the activation are keys of the file, after the class's functions of its parameters."""
    keys = {"rope.freq_base": 10000.0, ".xielu.beta": [0.5, 0.5], ".xielu.eps": [-1e-6, -1e-6]}

    def activation(tensors, _config):
        for part in "pn":  # as trained, before softplus
            keys[f".xielu.alpha_{part}"] = [tensors.pop(f"blk.{i}.alpha_{part}.weight").item() for i in range(2)]
    make(root, "apertus", "apertus", "Apertus",
         SMALL | dict(rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
         names={"model.layers.%d.attention_layernorm": "blk.%d.attn_norm",
                "model.layers.%d.feedforward_layernorm": "blk.%d.ffn_norm",
                "model.layers.%d.mlp.act_fn.alpha_p": "blk.%d.alpha_p",
                "model.layers.%d.mlp.act_fn.alpha_n": "blk.%d.alpha_n"}, keys=keys, change=activation)


def bitnet(root):
    make(root, "bitnet", "bitnet", "BitNet", SMALL | dict(hidden_act="silu", tie_word_embeddings=True),
         names={"model.layers.%d.self_attn.attn_sub_norm": "blk.%d.attn_sub_norm",
                "model.layers.%d.mlp.ffn_sub_norm": "blk.%d.ffn_sub_norm"})


def same_layers(root):
    make(root, "jais2", "jais2", "Jais2", SMALL | dict(head_dim=8), keys={"attention.layer_norm_epsilon": 1e-5})
    # Pangu is Llama with biases; Maincoder has Hunyuan's layer, its rotary pairs side by side.
    make(root, "pangu-embedded", "pangu-embedded", "Llama", SMALL | dict(head_dim=8, attention_bias=True))

    def pairs(tensors, _config):
        for name in [n for n in tensors if "attn_q_norm" in n or "attn_k_norm" in n]:
            tensors[name] = interleaved(tensors[name], 1)
    make(root, "maincoder", "maincoder", "HunYuanDenseV1", SMALL | dict(head_dim=16), interleave=True, change=pairs,
         names={"model.layers.%d.self_attn.query_layernorm": "blk.%d.attn_q_norm",
                "model.layers.%d.self_attn.key_layernorm": "blk.%d.attn_k_norm"})


def minimax(root):
    make(root, "minimax-m2", "minimax-m2", "MiniMaxM2",
         SPARSE | dict(head_dim=16, num_local_experts=6, num_experts_per_tok=2,
                       rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}),
         names={"model.layers.%d.mlp.e_score_correction_bias": "blk.%d.exp_probs_b"},
         keys={"rope.dimension_count": 8, "expert_gating_func": 2}, change=ernie_bias)


def phimoe(root):
    make(root, "phimoe", "phimoe", "Phimoe",
         SPARSE | dict(num_local_experts=6, num_experts_per_tok=2, attention_bias=True, lm_head_bias=True, sliding_window=None),
         names={"model.layers.%d.mlp.router": "blk.%d.ffn_gate_inp"}, keys={"rope.dimension_count": 8})


FAMILIES = [olmo, granite, nemotron, ernie, hunyuan, mistral3, others, apertus, bitnet, same_layers, minimax, phimoe]
