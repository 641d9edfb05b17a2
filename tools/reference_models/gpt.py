"""Families with layer norms and ungated networks."""
import numpy

from hf import make

SIZES = {"block_count": 2, "context_length": 128, "embedding_length": 32, "feed_forward_length": 128,
         "attention.head_count": 4}
NO_TOKENS = dict(pad_token_id=None, bos_token_id=None, eos_token_id=None)


def bare(_config):
    return {}


def falcon(root):
    """The layout of the larger models: a norm for each branch, several heads of keys and values."""
    def change(tensors, _config):
        for name in [n for n in tensors if "attn_qkv" in n]:  # of each group queries, key, value
            groups = tensors[name].reshape(2, 4, 8, 32)
            tensors[name] = numpy.concatenate([part.reshape(-1, 32) for part in (groups[:, :2], groups[:, 2], groups[:, 3])])
    layer = "transformer.h.%d."
    make(root, "falcon-40b", "falcon", "Falcon",
         dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_kv_heads=2, new_decoder_architecture=True,
              tie_word_embeddings=True) | NO_TOKENS,
         names={"transformer.word_embeddings": "token_embd", layer + "self_attention.query_key_value": "blk.%d.attn_qkv",
                layer + "self_attention.dense": "blk.%d.attn_output", layer + "mlp.dense_h_to_4h": "blk.%d.ffn_up",
                layer + "mlp.dense_4h_to_h": "blk.%d.ffn_down", layer + "ln_attn": "blk.%d.attn_norm_2",
                layer + "ln_mlp": "blk.%d.attn_norm", "transformer.ln_f": "output_norm"},
         common=bare, keys=SIZES | {"attention.head_count_kv": 2, "attention.layer_norm_epsilon": 1e-5}, change=change)


def starcoder(root):
    layer = "transformer.h.%d."
    make(root, "starcoder", "starcoder", "GPTBigCode",
         dict(n_embd=32, n_layer=2, n_head=4, n_positions=128, tie_word_embeddings=True) | NO_TOKENS,
         names={"transformer.wte": "token_embd", "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm",
                layer + "ln_1": "blk.%d.attn_norm", layer + "ln_2": "blk.%d.ffn_norm",
                layer + "attn.c_attn": "blk.%d.attn_qkv", layer + "attn.c_proj": "blk.%d.attn_output",
                layer + "mlp.c_fc": "blk.%d.ffn_up", layer + "mlp.c_proj": "blk.%d.ffn_down"},
         common=bare, keys=SIZES | {"attention.head_count_kv": 1, "attention.layer_norm_epsilon": 1e-5})


def mpt(root):
    layer = "transformer.blocks.%d."
    make(root, "mpt", "mpt", "Mpt",
         dict(d_model=32, n_layers=2, n_heads=4, max_seq_len=128, tie_word_embeddings=True, attn_config={"clip_qkv": 1.5}),
         names={"transformer.wte": "token_embd", "transformer.norm_f": "output_norm", layer + "norm_1": "blk.%d.attn_norm",
                layer + "norm_2": "blk.%d.ffn_norm", layer + "attn.Wqkv": "blk.%d.attn_qkv",
                layer + "attn.out_proj": "blk.%d.attn_output", layer + "ffn.up_proj": "blk.%d.ffn_up",
                layer + "ffn.down_proj": "blk.%d.ffn_down"},
         common=bare, keys=SIZES | {"attention.layer_norm_epsilon": 1e-5, "attention.clamp_kqv": 1.5,
                                    "attention.max_alibi_bias": 8.0})


def stablelm(root):
    """Both branches at once, and a norm for each head."""
    def change(tensors, _config):
        for part, heads in (("q", 4), ("k", 2)):
            for i in range(2):
                parts = [tensors.pop(f"{part} norm {h} blk.{i}.weight") for h in range(heads)]
                tensors[f"blk.{i}.attn_{part}_norm.weight"] = numpy.stack(parts)
    norms = {f"model.layers.%d.self_attn.{part}_layernorm.norms.{h}": f"{part} norm {h} blk.%d"
             for part, heads in (("q", 4), ("k", 2)) for h in range(heads)}
    make(root, "stablelm-parallel", "stablelm", "StableLm",
         dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
              max_position_embeddings=128, use_parallel_residual=True, qk_layernorm=True) | NO_TOKENS,
         names=norms, keys={"attention.layer_norm_epsilon": 1e-5, "rope.dimension_count": 2,
                            "use_parallel_residual": True}, change=change)


FAMILIES = [falcon, starcoder, mpt, stablelm]
