"""Golden models whose definition is a class of the transformers package: random weights, float64, eager attention."""
import re

import torch
import transformers

import golden

# Tensor names of the classes that are written like Llama, and of those that differ; %d stands for the layer.
NAMES = {
    "model.embed_tokens": "token_embd", "lm_head": "output", "model.norm": "output_norm",
    "model.layers.%d.input_layernorm": "blk.%d.attn_norm",
    "model.layers.%d.self_attn.q_proj": "blk.%d.attn_q", "model.layers.%d.self_attn.k_proj": "blk.%d.attn_k",
    "model.layers.%d.self_attn.v_proj": "blk.%d.attn_v", "model.layers.%d.self_attn.o_proj": "blk.%d.attn_output",
    "model.layers.%d.self_attn.q_norm": "blk.%d.attn_q_norm", "model.layers.%d.self_attn.k_norm": "blk.%d.attn_k_norm",
    "model.layers.%d.post_attention_layernorm": "blk.%d.ffn_norm",
    "model.layers.%d.mlp.gate_proj": "blk.%d.ffn_gate", "model.layers.%d.mlp.up_proj": "blk.%d.ffn_up",
    "model.layers.%d.mlp.down_proj": "blk.%d.ffn_down", "model.layers.%d.mlp.gate": "blk.%d.ffn_gate_inp",
    "model.layers.%d.mlp.experts.gate_up_proj": "blk.%d.ffn_gate_up_exps",
    "model.layers.%d.mlp.experts.down_proj": "blk.%d.ffn_down_exps",
}


def fill(model, name):
    """Weights that let every part of the model show: linear layers 1.1 / sqrt(inputs), norms near 1, biases not 0."""
    generator = torch.Generator().manual_seed(int(golden.random(name).integers(1 << 62)))
    with torch.no_grad():
        for key, value in model.named_parameters():
            noise = torch.randn(value.shape, generator=generator, dtype=torch.float32)
            if key.endswith("bias") or value.dim() == 1 and "norm" not in key.lower() and "ln_" not in key:
                value.copy_(0.2 * noise)
            elif value.dim() == 1:
                unit = 0.0 if value.abs().max() == 0 else 1.0  # what the class starts its norms with
                value.copy_(unit + 0.2 * (2 * torch.rand(value.shape, generator=generator) - 1))
            elif "embed" in key or "wte" in key:
                value.copy_(0.3 * noise)
            else:
                gain = 2.0 if re.search(r"gate\.weight|router", key) else 1.5 if re.search(r"q_proj|k_proj", key) else 1.1
                value.copy_(gain / value.shape[-1] ** 0.5 * noise)
        for key, value in model.named_buffers():
            if "e_score" in key:
                value.copy_(0.2 * torch.randn(value.shape, generator=generator, dtype=torch.float32))
    return model


def interleaved(weight, heads):
    """The rows of a rotated matrix or bias, from halves to the adjacent pairs that some families' files have."""
    rows = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return rows.swapaxes(1, 2).reshape(weight.shape)


def gguf_name(key, names):
    """The file's name of a parameter, or None where it has none."""
    stem, _, suffix = key.rpartition(".")
    if suffix not in ("weight", "bias"):
        stem, suffix = key, "weight"
    layer = re.search(r"\.(\d+)(?=\.)", key)
    found = names.get(re.sub(r"\.\d+(?=\.|$)", ".%d", stem, count=1))
    return None if found is None else found.replace("%d", layer.group(1) if layer else "") + "." + suffix


def build(seed, model_class, config_class, config, names=None):
    """The model, its config, and its tensors under the names of the file."""
    config = getattr(transformers, config_class)(vocab_size=golden.VOCABULARY, **config)
    config._attn_implementation = config._experts_implementation = "eager"
    model = fill(getattr(transformers, model_class)(config), seed).double().eval()
    tensors = {}
    tied = getattr(config, "tie_word_embeddings", False)
    for key, value in list(model.named_parameters()) + [b for b in model.named_buffers() if "e_score" in b[0]]:
        mapped = gguf_name(key, NAMES | (names or {}))
        if tied and mapped == "output.weight" or key.startswith("pooler."):
            continue
        if mapped is None:
            raise ValueError(f"{model_class}: no name for {key}")
        tensors[mapped] = value.detach().float().numpy()
    return model, config, tensors


def logits(model):
    def compute(ids):
        with torch.no_grad():
            result = model(input_ids=torch.tensor([ids]), use_cache=False)
        return result.logits[0].double().numpy()
    return compute


class Unclear(Exception):
    """A choice that rounding could change, or that changes nothing."""


def choosing(model, attribute, chosen):
    """Logits of a model whose indexers choose `chosen` positions or blocks, as their `attribute` says: clear choices,
    without which other logits would come out."""
    compute, topk = logits(model), torch.Tensor.topk
    indexers = [module for module in model.modules() if hasattr(module, attribute)]

    def watched(scores, k, *args, **options):
        if k == chosen and scores.shape[-1] > k:
            ranked = scores.sort(-1, descending=True).values
            gaps = (ranked[..., k - 1] - ranked[..., k])[(ranked[..., k] > -1e30) & (ranked[..., k - 1] < 1e30)]
            if (gaps < 1e-4 * ranked[ranked.abs() < 1e30].std()).any():
                raise Unclear("a choice is nearly tied")
        return topk(scores, k, *args, **options)

    def result(ids):
        torch.Tensor.topk = watched
        try:
            sparse = compute(ids)
        finally:
            torch.Tensor.topk = topk
        if len(ids) == max(golden.SEQUENCES):
            for module in indexers:
                setattr(module, attribute, len(ids))
            dense = compute(ids)
            for module in indexers:
                setattr(module, attribute, chosen)
            if abs(dense - sparse).max() < 0.05 * (sparse.max() - sparse.min()):
                raise Unclear("the choice changes little")
        return sparse
    return result


def hidden(model):
    def compute(ids):
        with torch.no_grad():
            result = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long))
        return result.last_hidden_state[0].double().numpy()
    return compute


def common_keys(config):
    """The keys that every family has, as the published converter writes them from a config."""
    keys = {"block_count": config.num_hidden_layers, "context_length": config.max_position_embeddings,
            "embedding_length": config.hidden_size, "feed_forward_length": config.intermediate_size,
            "attention.head_count": config.num_attention_heads}
    if (kv_heads := getattr(config, "num_key_value_heads", None)) is not None:
        keys["attention.head_count_kv"] = kv_heads
    rope = getattr(config, "rope_parameters", None) or {}
    if "rope_theta" in rope:
        keys["rope.freq_base"] = float(rope["rope_theta"])
    if (eps := getattr(config, "rms_norm_eps", None)) is not None:
        keys["attention.layer_norm_rms_epsilon"] = eps
    for attribute, key in (("num_experts", "expert_count"), ("num_local_experts", "expert_count"),
                           ("num_experts_per_tok", "expert_used_count"), ("moe_intermediate_size", "expert_feed_forward_length"),
                           ("head_dim", "attention.key_length"), ("head_dim", "attention.value_length")):
        if isinstance(value := getattr(config, attribute, None), int):
            keys[key] = value
    return keys


def split_experts(tensors):
    """Gates and up-projections of experts from the matrices that hold both one after the other."""
    for name in [n for n in tensors if "ffn_gate_up_exps" in n]:
        both = tensors.pop(name)
        half = both.shape[1] // 2
        tensors[name.replace("gate_up", "gate")], tensors[name.replace("gate_up", "up")] = both[:, :half], both[:, half:]
    return tensors


def make(root, name, architecture, model, config, *, keys=None, names=None, interleave=False, change=None,
         pooling=None, common=common_keys, config_class=None, chosen=None, seed=None):
    """A golden folder of transformers' `model`ForCausalLM or Model class with `model`Config.

    keys: further ones; interleave: the file has adjacent rotary pairs where the class has halves; change(tensors, config):
    what else the converter does to the tensors; common(config): the keys that come out of the config; chosen: of a model with
    indexers, their attribute for how many they choose, and how many; seed: of the weights, the name unless it says otherwise.
    """
    kind = model if model.endswith("Model") else model + "ForCausalLM"
    config_class = config_class or kind.replace("ForCausalLM", "").replace("Model", "") + "Config"
    module, settings, tensors = build(seed or name, kind, config_class, config, names)
    tensors = split_experts(tensors)
    if interleave:
        for tensor in tensors:
            for part, heads in ((".attn_q.", settings.num_attention_heads), (".attn_k.", settings.num_key_value_heads)):
                if part in tensor:
                    tensors[tensor] = interleaved(tensors[tensor], heads)
    if change:
        change(tensors, settings)
    all_keys = common(settings) | (keys or {})
    all_keys = {key: value for key, value in all_keys.items() if value is not None}
    compute = hidden(module) if pooling else choosing(module, *chosen) if chosen else logits(module)
    if pooling:
        all_keys |= {"pooling_type": {"mean": 1, "cls": 2, "lasttoken": 3}[pooling]}
    golden.make(root, name, architecture, all_keys, tensors, compute, f"transformers {kind}", pooling)
