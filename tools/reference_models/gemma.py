"""Gemma 3n."""
import numpy
import torch

import golden
from hf import make
from llama_like import SMALL

INNER, STREAMS = 8, 4


def gemma3n(root):
    sparse = [0.9, 0.9, 0.0, 0.0, 0.0, 0.0]
    kinds = ["sliding_attention", "sliding_attention", "full_attention"] * 2

    def change(tensors, config):
        for kind in ("altup_proj", "altup_unembd_proj"):
            parts = [tensors.pop(f"{kind} {i}.weight") for i in range(STREAMS - 1)]
            tensors[f"{kind}.weight"] = numpy.stack(parts)
        for i in range(config.num_hidden_layers):
            if i >= 3:  # these read the caches of earlier layers
                for part in ("attn_k", "attn_v", "attn_k_norm"):
                    tensors.pop(f"blk.{i}.{part}.weight", None)
    scales = [float(torch.distributions.normal.Normal(0, 1).icdf(torch.tensor(s))) for s in sparse]
    layer = "model.layers.%d."
    make(root, "gemma3n", "gemma3n", "Gemma3n",
         SMALL | dict(hidden_size=16, intermediate_size=[24] * 6, num_hidden_layers=6, num_attention_heads=2,
                      num_key_value_heads=1, head_dim=8, vocab_size_per_layer_input=golden.VOCABULARY,
                      hidden_size_per_layer_input=INNER, layer_types=kinds, sliding_window=8, num_kv_shared_layers=3,
                      altup_num_inputs=STREAMS, laurel_rank=4, activation_sparsity_pattern=sparse,
                      final_logit_softcapping=30.0, tie_word_embeddings=True),
         config_class="Gemma3nTextConfig", change=change,
         names={"model.embed_tokens_per_layer": "per_layer_token_embd",
                "model.per_layer_model_projection": "per_layer_model_proj",
                "model.per_layer_projection_norm": "per_layer_proj_norm",
                "model.altup_projections.%d": "altup_proj %d",
                "model.altup_unembed_projections.%d": "altup_unembd_proj %d",
                layer + "post_attention_layernorm": "blk.%d.post_attention_norm",
                layer + "pre_feedforward_layernorm": "blk.%d.ffn_norm",
                layer + "post_feedforward_layernorm": "blk.%d.post_ffw_norm",
                layer + "altup.correct_output_scale": "blk.%d.altup_correct_scale",
                layer + "altup.correction_coefs": "blk.%d.altup_correct_coef",
                layer + "altup.prediction_coefs": "blk.%d.altup_predict_coef",
                layer + "altup.modality_router": "blk.%d.altup_router",
                layer + "altup.router_norm": "blk.%d.altup_router_norm",
                layer + "laurel.linear_left": "blk.%d.laurel_l", layer + "laurel.linear_right": "blk.%d.laurel_r",
                layer + "laurel.post_laurel_norm": "blk.%d.laurel_post_norm",
                layer + "per_layer_input_gate": "blk.%d.inp_gate", layer + "per_layer_projection": "blk.%d.proj",
                layer + "post_per_layer_input_norm": "blk.%d.post_norm"},
         keys={"feed_forward_length": [24] * 6, "rope.freq_base": 1000000.0, "attention.sliding_window": 8,
               "attention.sliding_window_pattern": [kind == "sliding_attention" for kind in kinds],
               "altup.active_idx": 0, "altup.num_inputs": STREAMS, "embedding_length_per_layer_input": INNER,
               "attention.shared_kv_layers": 3, "activation_sparsity_scale": scales, "final_logit_softcapping": 30.0})


FAMILIES = [gemma3n]
