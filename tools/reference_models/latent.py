"""Families with attention over one latent vector a position."""
import numpy

import golden
from hf import make
from llama_like import SPARSE, ernie_bias
from plain import DIM, FFN, HEADS, HIDDEN, LAYERS, Weights, attention, heads, rms_norm, rotate_adjacent
from sparse import SHARED

NAMES = {f"model.layers.%d.self_attn.{key}": f"blk.%d.{value}" for key, value in {
    "q_a_proj": "attn_q_a", "q_a_layernorm": "attn_q_a_norm", "q_b_proj": "attn_q_b", "kv_a_proj_with_mqa": "attn_kv_a_mqa",
    "kv_a_layernorm": "attn_kv_a_norm", "kv_b_proj": "attn_kv_b", "indexer.wq_b": "indexer.attn_q_b",
    "indexer.wk": "indexer.attn_k", "indexer.k_norm": "indexer.k_norm", "indexer.weights_proj": "indexer.proj"}.items()} | {
    "model.layers.%d.mlp.gate.e_score_correction_bias": "blk.%d.exp_probs_b"}
KEYS, TURNED, VALUES, LATENT, LOW = 8, 4, 6, 16, 12  # a head's own part and its rotated part, its value, ranks
CHOSEN = 8  # positions that an indexer chooses
SIZES = dict(q_lora_rank=LOW, kv_lora_rank=LATENT, qk_nope_head_dim=KEYS, qk_rope_head_dim=TURNED, v_head_dim=VALUES,
             num_attention_heads=4, num_key_value_heads=4)
LATENT_KEYS = {"attention.q_lora_rank": LOW, "attention.kv_lora_rank": LATENT, "attention.key_length": LATENT + TURNED,
               "attention.value_length": LATENT, "attention.key_length_mla": KEYS + TURNED,
               "attention.value_length_mla": VALUES, "attention.head_count_kv": 1, "rope.dimension_count": TURNED}
EXPERTS = dict(n_routed_experts=6, num_experts_per_tok=2, moe_intermediate_size=16, n_shared_experts=1,
               routed_scaling_factor=1.5, first_k_dense_replace=1)
EXPERT_KEYS = {"expert_count": 6, "expert_shared_count": 1, "expert_weights_scale": 1.5, "expert_weights_norm": True,
               "leading_dense_block_count": 1, "expert_feed_forward_length": 16}


def split(tensors, config):
    """The file has keys and values apart, and keys transposed, as queries are multiplied with them."""
    ernie_bias(tensors, config)
    for name in [n for n in tensors if "attn_kv_b." in n]:
        both = tensors.pop(name).reshape(4, KEYS + VALUES, LATENT)
        tensors[name.replace("kv_b", "k_b")] = both[:, :KEYS].swapaxes(1, 2)
        tensors[name.replace("kv_b", "v_b")] = both[:, KEYS:]


def mistral4(root):
    make(root, "mistral4", "mistral4", "Mistral4",
         SPARSE | SIZES | EXPERTS | dict(n_group=1, topk_group=1, norm_topk_prob=True, rope_parameters={
             "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16,
             "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1,
             "partial_rotary_factor": TURNED / (KEYS + TURNED)}),
         names=NAMES | SHARED, change=split,
         keys=LATENT_KEYS | EXPERT_KEYS | {
             "rope.freq_base": 10000.0, "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
             "rope.scaling.original_context_length": 16, "rope.scaling.yarn_beta_fast": 32.0,
             "rope.scaling.yarn_beta_slow": 1.0, "rope.scaling.yarn_log_multiplier": 0.1,
             "attention.temperature_scale": 0.1})


def sparse_attention(root):
    """An indexer chooses 8 positions; in GLM's third layer those that the second has chosen."""
    for name, architecture, model, eps, layers, seed in (
            ("deepseek32", "deepseek32", "DeepseekV32", 1e-6, 2, "deepseek32 1"),
            ("glm-dsa", "glm-dsa", "GlmMoeDsa", 1e-5, 3, None)):
        own = ["full", "full", "shared"][:layers]
        make(root, name, architecture, model,
             SPARSE | SIZES | EXPERTS | dict(n_group=2, topk_group=1, index_topk=CHOSEN, index_head_dim=8, index_n_heads=8,
                                             num_hidden_layers=layers, rms_norm_eps=eps)
             | ({"indexer_types": own} if "shared" in own else {}),
             names=NAMES | SHARED, change=split, chosen=("index_topk", CHOSEN), seed=seed,
             keys=LATENT_KEYS | EXPERT_KEYS | {
                 "attention.indexer.head_count": 8, "attention.indexer.key_length": 8, "attention.indexer.top_k": CHOSEN,
                 "attention.indexer.types": [each == "full" for each in own] if "shared" in own else None,
                 "expert_group_count": 2, "expert_group_used_count": 1,
                 "expert_gating_func": 2 if architecture == "deepseek32" else None})


def minicpm3(root):
    """Its files have keys and values in one matrix, and none of the factors."""
    make(root, "minicpm3", "minicpm3", "MiniCPM3",
         SPARSE | SIZES | dict(v_head_dim=8, tie_word_embeddings=True, scale_emb=12, scale_depth=1.4, dim_model_base=256),
         names=NAMES, keys={key: value for key, value in LATENT_KEYS.items() if "mla" not in key} | {
             "attention.key_length": KEYS + TURNED, "attention.value_length": None, "attention.head_count_kv": 4})


def plm(root):
    """arXiv:2503.12167: a latent vector, and squared ReLU without gates."""
    w = Weights("plm")
    table, layers = w.embeddings("token_embd", golden.VOCABULARY), []
    for i in range(LAYERS):
        p = f"blk.{i}."
        layers.append(dict(
            attn_norm=w.norm(p + "attn_norm"), ffn_norm=w.norm(p + "ffn_norm"), latent_norm=w.norm(p + "attn_kv_a_norm", LATENT),
            q=w.matrix(p + "attn_q", HEADS * (KEYS + TURNED), HIDDEN, 1.5),
            kv_a=w.matrix(p + "attn_kv_a_mqa", LATENT + TURNED, HIDDEN, 1.5),
            kv_b=w.matrix(p + "attn_kv_b", HEADS * (KEYS + VALUES), LATENT, 1.5),
            o=w.matrix(p + "attn_output", HIDDEN, HEADS * VALUES),
            up=w.matrix(p + "ffn_up", FFN, HIDDEN), down=w.matrix(p + "ffn_down", HIDDEN, FFN)))
    last = w.norm("output_norm")

    def attend(h, layer):
        q, row = heads(h @ layer["q"].T, HEADS), h @ layer["kv_a"].T
        kv = heads(rms_norm(row[:, :LATENT], layer["latent_norm"]) @ layer["kv_b"].T, HEADS)
        turned = rotate_adjacent(row[:, None, LATENT:]).repeat(HEADS, 1)
        q = numpy.concatenate([q[..., :KEYS], rotate_adjacent(q[..., KEYS:])], -1)
        return attention(q, numpy.concatenate([kv[..., :KEYS], turned], -1), kv[..., KEYS:]) @ layer["o"].T

    def compute(ids):
        x = table[ids]
        for layer in layers:
            x = x + attend(rms_norm(x, layer["attn_norm"]), layer)
            x = x + numpy.maximum(rms_norm(x, layer["ffn_norm"]) @ layer["up"].T, 0) ** 2 @ layer["down"].T
        return rms_norm(x, last) @ table.T

    golden.make(root, "plm", "plm", {
        "block_count": LAYERS, "context_length": 128, "embedding_length": HIDDEN, "feed_forward_length": FFN,
        "attention.head_count": HEADS, "attention.head_count_kv": HEADS, "attention.layer_norm_rms_epsilon": 1e-6,
        "attention.kv_lora_rank": LATENT, "attention.key_length": KEYS + TURNED, "attention.value_length": VALUES,
        "rope.dimension_count": TURNED, "rope.freq_base": 10000.0}, w.tensors, compute, "numpy, from arXiv:2503.12167")


FAMILIES = [mistral4, sparse_attention, minicpm3, plm]
