"""Recurrent and hybrid families: from their transformers classes, RWKV 6 and 7 computed plainly from their papers."""
import numpy

import golden
import hf
import latent
from plain import attention, layer_norm, rms_norm, rotate_halves, silu

SMALL = dict(hidden_size=32, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
             tie_word_embeddings=False, pad_token_id=0, bos_token_id=0, eos_token_id=0)
MIXER = {"in_proj": "ssm_in", "conv1d": "ssm_conv1d", "x_proj": "ssm_x", "dt_proj": "ssm_dt", "A_log": "ssm_a", "D": "ssm_d",
         "out_proj": "ssm_out", "dt_layernorm": "ssm_dt_norm", "b_layernorm": "ssm_b_norm", "c_layernorm": "ssm_c_norm",
         "norm": "ssm_norm", "dt_bias": "ssm_dt"}


def mixer(prefix):
    return {f"{prefix}.{key}": f"blk.%d.{value}" for key, value in MIXER.items()}


def as_stored(groups=None):
    """What the converter makes of a Mamba layer: A itself, two axes for Mamba 2's vectors, group by group norms."""
    def change(tensors, _config):
        for name in list(tensors):
            value = tensors[name]
            if name.endswith("ssm_a.weight"):
                value = -numpy.exp(value.astype("f8"))
            if name.endswith("ssm_conv1d.weight"):
                value = value[:, 0]
            if groups and name.endswith("ssm_norm.weight"):
                value = value.reshape(groups, -1)
            if groups and name.endswith(("ssm_a.weight", "ssm_d.weight")):
                value = value[:, None]
            tensors[name] = value
            if name.endswith(("ssm_a.weight", "ssm_d.weight")):
                tensors[name.removesuffix(".weight")] = tensors.pop(name)
            if groups and name.endswith("ssm_dt.weight"):
                tensors[name.replace("weight", "bias")] = tensors.pop(name)
    return change


def ssm_keys(inner, state, steps, groups=None):
    keys = {"ssm.conv_kernel": 4, "ssm.inner_size": inner, "ssm.state_size": state, "ssm.time_step_rank": steps}
    return keys | ({"ssm.group_count": groups} if groups else {})


def jamba(root):
    hf.make(root, "jamba", "jamba", "Jamba", SMALL | dict(intermediate_size=24,
        num_hidden_layers=4, num_experts=4, num_experts_per_tok=2, expert_layer_period=2, expert_layer_offset=1,
        attn_layer_period=3, attn_layer_offset=1, mamba_d_state=8, mamba_d_conv=4, mamba_expand=2, mamba_dt_rank=4),
        names=mixer("model.layers.%d.mamba") | {
            "model.layers.%d.pre_ff_layernorm": "blk.%d.ffn_norm", "model.final_layernorm": "output_norm",
            "model.layers.%d.feed_forward.gate_proj": "blk.%d.ffn_gate", "model.layers.%d.feed_forward.up_proj": "blk.%d.ffn_up",
            "model.layers.%d.feed_forward.down_proj": "blk.%d.ffn_down",
            "model.layers.%d.feed_forward.router": "blk.%d.ffn_gate_inp",
            "model.layers.%d.feed_forward.experts.gate_up_proj": "blk.%d.ffn_gate_up_exps",
            "model.layers.%d.feed_forward.experts.down_proj": "blk.%d.ffn_down_exps"},
        change=as_stored(), keys=ssm_keys(64, 8, 4) | {
            "attention.head_count_kv": [0, 2, 0, 0], "attention.layer_norm_rms_epsilon": 1e-6, "rope.freq_base": None})


def falcon_mamba(root):
    hf.make(root, "falcon-mamba", "mamba", "FalconMamba", SMALL | dict(
        num_hidden_layers=2, state_size=16, time_step_rank=4, mixer_rms_eps=1e-5, layer_norm_epsilon=1e-5, intermediate_size=64),
        names=mixer("backbone.layers.%d.mixer") | {
            "backbone.embeddings": "token_embd", "backbone.layers.%d.norm": "blk.%d.attn_norm", "backbone.norm_f": "output_norm",
            "backbone.layers.%d.mixer.dt_layernorm": None, "backbone.layers.%d.mixer.b_layernorm": None,
            "backbone.layers.%d.mixer.c_layernorm": None},
        change=as_stored(), keys=ssm_keys(64, 16, 4) | {
            "ssm.dt_b_c_rms": True, "feed_forward_length": 0, "attention.head_count": 0, "attention.head_count_kv": None,
            "attention.layer_norm_rms_epsilon": 1e-5, "context_length": 1 << 20})


def falcon_h1(root):
    """Its multipliers are folded into the weights."""
    factors = dict(attention_in_multiplier=0.8, attention_out_multiplier=1.2, ssm_in_multiplier=1.1, ssm_out_multiplier=0.9,
                   key_multiplier=0.7, mlp_multipliers=[0.9, 1.3], ssm_multipliers=[0.8, 1.1, 0.9, 1.2, 0.7],
                   embedding_multiplier=3.0, lm_head_multiplier=0.5)
    inner, state, groups, count = 48, 16, 2, 6

    def folded(tensors, config):
        as_stored(groups)(tensors, config)
        parts = numpy.repeat(factors["ssm_multipliers"], [inner, inner, groups * state, groups * state, count])
        scales = {"attn_q": 0.8, "attn_k": 0.8 * 0.7, "attn_v": 0.8, "attn_output": 1.2, "ssm_out": 0.9, "ffn_gate": 0.9,
                  "ffn_down": 1.3, "token_embd": 3.0, "output": 0.5, "ssm_in": 1.1 * parts[:, None]}
        for name in tensors:
            if name.endswith(".weight") and (scale := scales.get(name.split(".")[-2])) is not None:
                tensors[name] = tensors[name].astype("f8") * scale

    for name, normed in (("falcon-h1", False), ("falcon-h1-norm", True)):
        hf.make(root, name, "falcon-h1", "FalconH1", SMALL | factors | dict(
            num_hidden_layers=2, head_dim=8, mamba_d_ssm=inner, mamba_n_heads=count, mamba_d_head=8, mamba_n_groups=groups,
            mamba_d_state=state, mamba_rms_norm=normed, mamba_norm_before_gate=False, rms_norm_eps=1e-5),
            names=mixer("model.layers.%d.mamba") | {
                "model.layers.%d.pre_ff_layernorm": "blk.%d.ffn_norm", "model.final_layernorm": "output_norm",
                "model.layers.%d.feed_forward.gate_proj": "blk.%d.ffn_gate",
                "model.layers.%d.feed_forward.up_proj": "blk.%d.ffn_up",
                "model.layers.%d.feed_forward.down_proj": "blk.%d.ffn_down"},
            change=folded, keys=ssm_keys(inner, state, count, groups))


NEMOTRON = mixer("model.layers.%d.mixer") | {
    "model.embeddings": "token_embd", "model.norm_f": "output_norm", "model.layers.%d.norm": "blk.%d.attn_norm",
    "model.layers.%d.mixer.up_proj": "blk.%d.ffn_up", "model.layers.%d.mixer.down_proj": "blk.%d.ffn_down",
    "model.layers.%d.mixer.q_proj": "blk.%d.attn_q", "model.layers.%d.mixer.k_proj": "blk.%d.attn_k",
    "model.layers.%d.mixer.v_proj": "blk.%d.attn_v", "model.layers.%d.mixer.o_proj": "blk.%d.attn_output"}


def nemotron_h(root):
    inner, state, groups, count = 48, 8, 2, 6
    hf.make(root, "nemotron-h", "nemotron_h", "NemotronH", SMALL | dict(
        layers_block_type=["linear_attention", "mlp", "full_attention", "linear_attention", "mlp"], head_dim=8,
        ssm_state_size=state, mamba_num_heads=count, mamba_head_dim=8, n_groups=groups, layer_norm_epsilon=1e-5),
        names=NEMOTRON, change=as_stored(groups), keys=ssm_keys(inner, state, count, groups) | {
            "attention.head_count_kv": [0, 0, 2, 0, 0], "feed_forward_length": [0, 48, 0, 0, 48],
            "attention.layer_norm_rms_epsilon": 1e-5, "rope.freq_base": None, "expert_count": None,
            "expert_used_count": None, "expert_feed_forward_length": None})


def nemotron_h_moe(root):
    inner, state, groups, count = 48, 8, 2, 6

    def change(tensors, config):
        as_stored(groups)(tensors, config)
        for name in [n for n in tensors if "exp_probs_b" in n]:
            tensors[name.replace("weight", "bias")] = tensors.pop(name)
    hf.make(root, "nemotron-h-moe", "nemotron_h_moe", "NemotronH", SMALL | dict(
        layers_block_type=["linear_attention", "moe", "full_attention", "moe"], head_dim=8, ssm_state_size=state,
        mamba_num_heads=count, mamba_head_dim=8, n_groups=groups, layer_norm_epsilon=1e-5, n_routed_experts=6,
        num_experts_per_tok=2, moe_intermediate_size=16, moe_shared_expert_intermediate_size=24, routed_scaling_factor=1.7),
        names=NEMOTRON | {
            "model.layers.%d.mixer.gate": "blk.%d.ffn_gate_inp", "model.layers.%d.mixer.experts.up_proj": "blk.%d.ffn_up_exps",
            "model.layers.%d.mixer.experts.down_proj": "blk.%d.ffn_down_exps",
            "model.layers.%d.mixer.shared_experts.up_proj": "blk.%d.ffn_up_shexp",
            "model.layers.%d.mixer.shared_experts.down_proj": "blk.%d.ffn_down_shexp",
            "model.layers.%d.mixer.gate.e_score_correction_bias": "blk.%d.exp_probs_b"},
        change=change, keys=ssm_keys(inner, state, count, groups) | {
            "attention.head_count_kv": [0, 0, 2, 0], "feed_forward_length": [0, 16, 0, 16],
            "attention.layer_norm_rms_epsilon": 1e-5, "rope.freq_base": None, "expert_count": 6, "expert_used_count": 2,
            "expert_feed_forward_length": 16, "expert_shared_feed_forward_length": 24, "expert_shared_count": 1,
            "expert_weights_norm": True, "expert_weights_scale": 1.7, "expert_group_count": 1})


def lfm2_moe(root):
    def change(tensors, _config):
        for name in list(tensors):
            if "shortconv.conv" in name:
                tensors[name] = tensors[name][:, 0]
            if "exp_probs_b" in name:
                tensors[name.replace("weight", "bias")] = tensors.pop(name)
    layer = "model.layers.%d."
    hf.make(root, "lfm2-moe", "lfm2moe", "Lfm2Moe", SMALL | dict(
        num_hidden_layers=3, layer_types=["conv", "full_attention", "conv"], conv_L_cache=3, num_dense_layers=1, num_experts=6,
        num_experts_per_tok=2, moe_intermediate_size=16, norm_topk_prob=True, use_expert_bias=True, norm_eps=1e-5),
        names={"model.embedding_norm": "token_embd_norm", layer + "operator_norm": "blk.%d.attn_norm",
               layer + "ffn_norm": "blk.%d.ffn_norm", layer + "conv.conv": "blk.%d.shortconv.conv",
               layer + "conv.in_proj": "blk.%d.shortconv.in_proj", layer + "conv.out_proj": "blk.%d.shortconv.out_proj",
               layer + "self_attn.out_proj": "blk.%d.attn_output", layer + "self_attn.q_layernorm": "blk.%d.attn_q_norm",
               layer + "self_attn.k_layernorm": "blk.%d.attn_k_norm", layer + "feed_forward.w1": "blk.%d.ffn_gate",
               layer + "feed_forward.w3": "blk.%d.ffn_up", layer + "feed_forward.w2": "blk.%d.ffn_down",
               layer + "feed_forward.gate": "blk.%d.ffn_gate_inp",
               layer + "feed_forward.experts.gate_up_proj": "blk.%d.ffn_gate_up_exps",
               layer + "feed_forward.experts.down_proj": "blk.%d.ffn_down_exps",
               layer + "feed_forward.expert_bias": "blk.%d.exp_probs_b"},
        change=change, keys={"shortconv.l_cache": 3, "attention.head_count_kv": [0, 2, 0], "expert_gating_func": 2,
                             "leading_dense_block_count": 1, "attention.layer_norm_rms_epsilon": 1e-5})


def kimi_linear(root):
    """Delta nets with a decay for each key, and attention over latent vectors that do not turn."""
    def change(tensors, config):
        latent.split(tensors, config)
        for name in list(tensors):
            if "ssm_conv1d." in name:
                for part, kernel in zip("qkv", numpy.split(tensors.pop(name), 3)):
                    tensors[name.replace("conv1d", "conv1d_" + part)] = kernel.reshape(1, -1, 1, 4)
            if name.endswith("ssm_a.weight"):
                tensors[name.removesuffix(".weight")] = -numpy.exp(tensors.pop(name).astype("f8"))
            if name.endswith("ssm_dt.weight"):
                tensors[name.replace("weight", "bias")] = tensors.pop(name)
    sizes = {key: value for key, value in latent.SIZES.items() if key != "q_lora_rank"}
    hf.make(root, "kimi-linear", "kimi-linear", "KimiLinear",
            latent.SPARSE | sizes | latent.EXPERTS | dict(
                num_hidden_layers=3, linear_head_dim=8, linear_num_heads=4, linear_conv_kernel_dim=4, q_lora_rank=None,
                num_local_experts=6, layer_types=["linear_attention", "full_attention", "linear_attention"],
                mlp_layer_types=["dense", "sparse", "sparse"], norm_topk_prob=True),
            names=latent.NAMES | latent.SHARED | {"model.layers.%d.self_attn." + key: "blk.%d." + value for key, value in {
                "conv1d": "ssm_conv1d", "forget_gate.f_a_proj": "ssm_f_a", "forget_gate.f_b_proj": "ssm_f_b",
                "forget_gate.dt_bias": "ssm_dt", "forget_gate.A_log": "ssm_a", "b_proj": "ssm_beta", "g_a_proj": "ssm_g_a",
                "g_b_proj": "ssm_g_b", "o_norm": "ssm_norm"}.items()}, change=change,
            keys={key: value for key, value in latent.LATENT_KEYS.items() if "q_lora" not in key} | latent.EXPERT_KEYS | {
                "attention.head_count_kv": [0, 1, 0], "ssm.conv_kernel": 4, "kda.head_dim": 8, "expert_gating_func": 2,
                "expert_weights_norm": None})


def plamo2(root):
    """PLaMo 2, from its published code: Mamba with a number for each head, whose inputs are normed; norms before and after."""
    n, count, dim, state, rank, ffn, q_heads, kv = 32, 3, 16, 8, 12, 24, 4, 2
    inner, head = count * dim, 8
    generator, tensors = golden.random("plamo2"), {}

    def add(name, *shape, gain=None, around=None):
        values = generator.uniform(0.8, 1.2, shape) * around if around else \
            generator.standard_normal(shape) * (gain or 1.1 / shape[-1] ** 0.5)
        tensors[name] = values.astype("f4")
        return tensors[name].astype("f8")
    table, last, output, layers = add("token_embd.weight", golden.VOCABULARY, n, gain=0.3), add("output_norm.weight", n, around=1), \
        add("output.weight", golden.VOCABULARY, n), []
    for i in range(3):
        p = f"blk.{i}."
        layer = {name: add(p + name, n, around=1) for name in ("attn_norm.weight", "post_attention_norm", "ffn_norm.weight",
                                                               "post_ffw_norm")}
        layer |= {"up": add(p + "ffn_up.weight", 2 * ffn, n), "down": add(p + "ffn_down.weight", n, ffn)}
        if i == 1:
            layer |= {"qkv": add(p + "attn_qkv.weight", (q_heads + 2 * kv) * head, n), "o": add(p + "attn_output.weight", n, q_heads * head),
                      "q_norm": add(p + "attn_q_norm.weight", q_heads, head, around=1),
                      "k_norm": add(p + "attn_k_norm.weight", kv, head, around=1)}
        else:
            layer |= {"in": add(p + "ssm_in.weight", 2 * inner, n), "conv": add(p + "ssm_conv1d.weight", inner, 4),
                      "x": add(p + "ssm_x.weight", rank + 2 * state, inner), "dt": add(p + "ssm_dt.weight", count, rank),
                      "bias": add(p + "ssm_dt.bias", count, gain=0.5), "a": add(p + "ssm_a", count, around=-0.7),
                      "d": add(p + "ssm_d", count, around=1), "out": add(p + "ssm_out.weight", n, inner)}
            layer |= {f"{part}_norm": add(p + f"ssm_{part}_norm", width, around=1)
                      for part, width in (("dt", rank), ("b", state), ("c", state))}
        layers.append(layer)

    def attend(h, w):
        q, k, v = (part.reshape(len(h), -1, head) for part in numpy.split(h @ w["qkv"].T, [q_heads * head, (q_heads + kv) * head], -1))
        q, k = rotate_halves(rms_norm(q, w["q_norm"])), rotate_halves(rms_norm(k, w["k_norm"]))
        return attention(q, k, v) @ w["o"].T

    def mamba(h, w):
        zx = (h @ w["in"].T).reshape(len(h), count, 2 * dim)
        z, x = zx[..., :dim], zx[..., dim:].reshape(len(h), inner)
        padded = numpy.concatenate([numpy.zeros((3, inner)), x])
        x = silu(sum(padded[j:j + len(h)] * w["conv"][:, j] for j in range(4)))
        b, c, dt = numpy.split(x @ w["x"].T, [state, 2 * state], -1)
        b, c, dt = rms_norm(b, w["b_norm"]), rms_norm(c, w["c_norm"]), rms_norm(dt, w["dt_norm"])
        step = numpy.log1p(numpy.exp(dt @ w["dt"].T + w["bias"]))
        s, y = numpy.zeros((count, dim, state)), numpy.empty((len(h), count, dim))
        x = x.reshape(len(h), count, dim)
        for t in range(len(h)):
            s = numpy.exp(step[t] * w["a"])[:, None, None] * s + (step[t][:, None] * x[t])[:, :, None] * b[t]
            y[t] = s @ c[t] + w["d"][:, None] * x[t]
        return (silu(z) * y).reshape(len(h), inner) @ w["out"].T

    def compute(ids):
        x = table[ids]
        for i, w in enumerate(layers):
            x = x + rms_norm((attend if i == 1 else mamba)(rms_norm(x, w["attn_norm.weight"]), w), w["post_attention_norm"])
            gate, up = numpy.split(rms_norm(x, w["ffn_norm.weight"]) @ w["up"].T, 2, -1)
            x = x + rms_norm((silu(gate) * up) @ w["down"].T, w["post_ffw_norm"])
        return rms_norm(x, last) @ output.T
    golden.make(root, "plamo2", "plamo2", {
        "block_count": 3, "context_length": 128, "embedding_length": n, "feed_forward_length": ffn, "attention.key_length": head,
        "attention.head_count": [0, q_heads, 0], "attention.head_count_kv": [0, kv, 0], "attention.value_length": head,
        "attention.layer_norm_rms_epsilon": 1e-6, "rope.freq_base": 10000.0, "ssm.state_size": state, "ssm.conv_kernel": 4,
        "ssm.time_step_rank": count, "ssm.inner_size": inner, "ssm.group_count": 0}, tensors, compute,
        "numpy, from the published code of PLaMo 2")


def sigmoid(x):
    return 1 / (1 + numpy.exp(-x))


def before(x):
    return numpy.concatenate([numpy.zeros_like(x[:1]), x[:-1]])


class Rwkv:
    """Random tensors under the names of the file, and what versions 6 and 7 share."""
    HIDDEN, HEAD, FFN, LAYERS = 32, 16, 48, 3

    def __init__(self, name):
        self.random, self.tensors = golden.random(name), {}

    def add(self, name, values):
        self.tensors[name] = values.astype("f4")
        return self.tensors[name].astype("f8")

    def matrix(self, name, *shape):
        return self.add(name + ".weight", self.random.standard_normal(shape) * 1.1 / shape[-1] ** 0.5)

    def vector(self, name, low, high, *shape):
        return self.add(name + ".weight", self.random.uniform(low, high, shape or self.HIDDEN))

    def norm(self, name):
        return (self.vector(name, 0.8, 1.2), self.add(name + ".bias", 0.2 * self.random.standard_normal(self.HIDDEN)))

    def heads(self, x):
        return x.reshape(len(x), -1, self.HEAD)

    def head_norm(self, y, weights):
        """The group norm over each head; its epsilon is the published models'."""
        centred = y - y.mean(-1, keepdims=True)
        y = centred / numpy.sqrt((centred * centred).mean(-1, keepdims=True) + 64e-5)
        return y.reshape(len(y), -1) * weights[0] + weights[1]


def rwkv6(root):
    """arXiv:2404.05892, section 4; the residual stream is halved after each two layers, as the file's weights want it."""
    m, every = Rwkv("rwkv6"), 2
    n, mixed, decayed = m.HIDDEN, 5, 7
    table, first, last = m.add("token_embd.weight", 0.3 * m.random.standard_normal((golden.VOCABULARY, n))), \
        m.norm("token_embd_norm"), m.norm("output_norm")
    output, layers = m.matrix("output", golden.VOCABULARY, n), []
    for i in range(m.LAYERS):
        p, scale = f"blk.{i}.", 2.0 ** -(i // every)
        layer = {"norm": m.norm(p + "attn_norm"), "norm2": m.norm(p + "attn_norm_2"), "ln": m.norm(p + "time_mix_ln"),
                 "x": m.vector(p + "time_mix_lerp_x", 0, 1), "share": m.vector(p + "time_mix_lerp_fused", 0, 1, 5, 1, 1, n),
                 "w1": m.matrix(p + "time_mix_w1", 5 * mixed, n), "w2": m.matrix(p + "time_mix_w2", 5, n, mixed),
                 "decay": m.vector(p + "time_mix_decay", -3, 1), "d1": m.matrix(p + "time_mix_decay_w1", decayed, n),
                 "d2": m.matrix(p + "time_mix_decay_w2", n, decayed),
                 "first": m.vector(p + "time_mix_first", -1, 1, n // m.HEAD, m.HEAD)}
        for part in ("receptance", "key", "value", "gate"):
            layer[part] = m.matrix(p + "time_mix_" + part, n, n)
        layer["out"] = m.add(p + "time_mix_output.weight", m.random.standard_normal((n, n)) * 1.1 / n ** 0.5 * scale)
        layer |= {"ck": m.vector(p + "channel_mix_lerp_k", 0, 1), "cr": m.vector(p + "channel_mix_lerp_r", 0, 1),
                  "key2": m.matrix(p + "channel_mix_key", m.FFN, n), "receptance2": m.matrix(p + "channel_mix_receptance", n, n)}
        layer["value2"] = m.add(p + "channel_mix_value.weight",
                                m.random.standard_normal((n, m.FFN)) * 1.1 / m.FFN ** 0.5 * scale)
        layers.append(layer)

    def time_mix(x, w):
        less = before(x) - x
        low = numpy.tanh((x + less * w["x"]) @ w["w1"].T).reshape(len(x), 5, mixed)
        share = w["share"].reshape(5, n) + numpy.einsum("tip,inp->tin", low, w["w2"])
        xw, xk, xv, xr, xg = (x + less * share[:, i] for i in range(5))
        r, k, v = (m.heads(part) for part in (xr @ w["receptance"].T, xk @ w["key"].T, xv @ w["value"].T))
        decay = m.heads(numpy.exp(-numpy.exp(w["decay"] + numpy.tanh(xw @ w["d1"].T) @ w["d2"].T)))
        state, y = numpy.zeros((n // m.HEAD, m.HEAD, m.HEAD)), numpy.empty_like(v)
        for t in range(len(x)):
            product = k[t][:, :, None] * v[t][:, None, :]
            y[t] = numpy.einsum("hi,hij->hj", r[t], w["first"][:, :, None] * product + state)
            state = decay[t][:, :, None] * state + product
        return (m.head_norm(y, w["ln"]) * silu(xg @ w["gate"].T)) @ w["out"].T

    def channel_mix(x, w):
        less = before(x) - x
        k = numpy.maximum((x + less * w["ck"]) @ w["key2"].T, 0) ** 2
        return sigmoid((x + less * w["cr"]) @ w["receptance2"].T) * (k @ w["value2"].T)

    def compute(ids):
        x = layer_norm(table[ids], *first, 1e-5)
        for i, w in enumerate(layers):
            x = x + time_mix(layer_norm(x, *w["norm"], 1e-5), w)
            x = x + channel_mix(layer_norm(x, *w["norm2"], 1e-5), w)
            if (i + 1) % every == 0:
                x = x / 2
        return layer_norm(x, *last, 1e-5) @ output.T

    golden.make(root, "rwkv6", "rwkv6", {
        "block_count": m.LAYERS, "context_length": 1 << 20, "embedding_length": n, "feed_forward_length": m.FFN,
        "attention.head_count": 0, "attention.layer_norm_epsilon": 1e-5, "wkv.head_size": m.HEAD,
        "rescale_every_n_layers": every, "time_mix_extra_dim": mixed, "time_decay_extra_dim": decayed},
        m.tensors, compute, "numpy, from arXiv:2404.05892")


def rwkv7(root):
    """arXiv:2503.14456, section 4."""
    m = Rwkv("rwkv7")
    n, count = m.HIDDEN, m.HIDDEN // m.HEAD
    table, first, last = m.add("token_embd.weight", 0.3 * m.random.standard_normal((golden.VOCABULARY, n))), \
        m.norm("token_embd_norm"), m.norm("output_norm")
    output, layers = m.matrix("output", golden.VOCABULARY, n), []
    for i in range(m.LAYERS):
        p = f"blk.{i}."
        layer = {"norm": m.norm(p + "attn_norm"), "norm2": m.norm(p + "attn_norm_2"), "ln": m.norm(p + "time_mix_ln"),
                 "share": m.vector(p + "time_mix_lerp_fused", 0, 1, 6, 1, 1, n), "k_k": m.vector(p + "time_mix_k_k", 0.5, 1.5),
                 "k_a": m.vector(p + "time_mix_k_a", 0, 1), "r_k": m.vector(p + "time_mix_r_k", -1, 1)}
        for part in ("receptance", "key", "value", "output"):
            layer[part] = m.matrix(p + "time_mix_" + part, n, n)
        for part, rank in (("w", 6), ("a", 5), ("v", 4), ("g", 7)):
            layer[part + "1"], layer[part + "2"] = m.matrix(p + f"time_mix_{part}1", rank, n), m.matrix(
                p + f"time_mix_{part}2", n, rank)
            if part != "g":
                layer[part + "0"] = m.vector(p + f"time_mix_{part}0", -1, 1)
        layer |= {"ck": m.vector(p + "channel_mix_lerp_k", 0, 1), "key2": m.matrix(p + "channel_mix_key", m.FFN, n),
                  "value2": m.matrix(p + "channel_mix_value", n, m.FFN)}
        layers.append(layer)

    def time_mix(x, w, first_values):
        less = before(x) - x
        xr, xw, xk, xv, xa, xg = (x + less * share for share in w["share"].reshape(6, n))
        r, k, v = xr @ w["receptance"].T, xk @ w["key"].T, xv @ w["value"].T
        decay = m.heads(numpy.exp(-numpy.exp(-0.5) * sigmoid(w["w0"] + numpy.tanh(xw @ w["w1"].T) @ w["w2"].T)))
        if first_values is None:
            first_values = v
        else:
            v = v + (first_values - v) * sigmoid(w["v0"] + xv @ w["v1"].T @ w["v2"].T)
        a = sigmoid(w["a0"] + xa @ w["a1"].T @ w["a2"].T)
        removed = m.heads(k * w["k_k"])
        removed = removed / numpy.linalg.norm(removed, axis=-1, keepdims=True)
        r, k, v, a = (m.heads(part) for part in (r, k * (1 + (a - 1) * w["k_a"]), v, a))
        state, y = numpy.zeros((count, m.HEAD, m.HEAD)), numpy.empty_like(v)  # rows are values, columns keys
        for t in range(len(x)):
            known = numpy.einsum("hji,hi->hj", state, -removed[t])
            state = state * decay[t][:, None, :] + known[:, :, None] * (removed[t] * a[t])[:, None, :] \
                + v[t][:, :, None] * k[t][:, None, :]
            y[t] = numpy.einsum("hji,hi->hj", state, r[t])
        bonus = (r * k * w["r_k"].reshape(count, m.HEAD)).sum(-1, keepdims=True) * v
        y = m.head_norm(y, w["ln"]) + bonus.reshape(len(x), n)
        return (y * (sigmoid(xg @ w["g1"].T) @ w["g2"].T)) @ w["output"].T, first_values

    def compute(ids):
        x, first_values = layer_norm(table[ids], *first, 1e-5), None
        for w in layers:
            mixed, first_values = time_mix(layer_norm(x, *w["norm"], 1e-5), w, first_values)
            x = x + mixed
            h = layer_norm(x, *w["norm2"], 1e-5)
            x = x + numpy.maximum((h + (before(h) - h) * w["ck"]) @ w["key2"].T, 0) ** 2 @ w["value2"].T
        return layer_norm(x, *last, 1e-5) @ output.T

    golden.make(root, "rwkv7", "rwkv7", {
        "block_count": m.LAYERS, "context_length": 1 << 20, "embedding_length": n, "feed_forward_length": m.FFN,
        "attention.head_count": 0, "attention.layer_norm_epsilon": 1e-5, "wkv.head_size": m.HEAD,
        "attention.decay_lora_rank": 6, "attention.iclr_lora_rank": 5, "attention.value_residual_mix_lora_rank": 4,
        "attention.gate_lora_rank": 7}, m.tensors, compute, "numpy, from arXiv:2503.14456")


class QwenNetwork:
    """Qwen 2's norms and network, around time mixing (arXiv:2501.15570)."""

    def __init__(self, m, p):
        self.first, self.second = m.vector(p + "attn_norm", 0.8, 1.2), m.vector(p + "ffn_norm", 0.8, 1.2)
        self.gate, self.up = m.matrix(p + "ffn_gate", m.FFN, m.HIDDEN), m.matrix(p + "ffn_up", m.FFN, m.HIDDEN)
        self.down = m.matrix(p + "ffn_down", m.HIDDEN, m.FFN)

    def __call__(self, x):
        h = rms_norm(x, self.second)
        return x + (silu(h @ self.gate.T) * (h @ self.up.T)) @ self.down.T


def rwkv6_qwen2(root):
    """QRWKV 6: gated linear attention, two heads of which share keys and values; no norm of what it gives."""
    m, mixed, decayed = Rwkv("rwkv6qwen2"), 5, 7
    n, head = m.HIDDEN, m.HEAD
    table, last = m.add("token_embd.weight", 0.3 * m.random.standard_normal((golden.VOCABULARY, n))), m.vector("output_norm", 0.8, 1.2)
    output, layers = m.matrix("output", golden.VOCABULARY, n), []
    for i in range(2):
        p = f"blk.{i}."
        w = {"network": QwenNetwork(m, p), "x": m.vector(p + "time_mix_lerp_x", 0, 1),
             "share": m.vector(p + "time_mix_lerp_fused", 0, 1, 5, 1, 1, n), "w1": m.matrix(p + "time_mix_w1", 5 * mixed, n),
             "w2": m.matrix(p + "time_mix_w2", 5, n, mixed), "decay": m.vector(p + "time_mix_decay", -3, 1),
             "d1": m.matrix(p + "time_mix_decay_w1", decayed, n), "d2": m.matrix(p + "time_mix_decay_w2", n, decayed)}
        for part, rows in (("receptance", n), ("key", head), ("value", head)):
            w[part] = (m.matrix(p + "time_mix_" + part, rows, n),
                       m.add(p + f"time_mix_{part}.bias", 0.2 * m.random.standard_normal(rows)))
        layers.append(w | {part: m.matrix(p + "time_mix_" + part, n, n) for part in ("gate", "output")})

    def time_mix(x, w):
        less = before(x) - x
        low = numpy.tanh((x + less * w["x"]) @ w["w1"].T).reshape(len(x), 5, mixed)
        share = w["share"].reshape(5, n) + numpy.einsum("tip,inp->tin", low, w["w2"])
        xw, xk, xv, xr, xg = (x + less * share[:, i] for i in range(5))
        r, k, v = (m.heads(part @ w[name][0].T + w[name][1]) for part, name in ((xr, "receptance"), (xk, "key"), (xv, "value")))
        decay = m.heads(numpy.exp(-numpy.exp(w["decay"] + numpy.tanh(xw @ w["d1"].T) @ w["d2"].T)))
        k, v = k.repeat(n // head, 1) * (1 - decay), v.repeat(n // head, 1)
        state, y = numpy.zeros((n // head, head, head)), numpy.empty_like(v)
        for t in range(len(x)):
            state = decay[t][:, :, None] * state + k[t][:, :, None] * v[t][:, None, :]
            y[t] = numpy.einsum("hi,hij->hj", r[t], state) / head ** 0.5
        return (y.reshape(len(x), n) * sigmoid(xg @ w["gate"].T)) @ w["output"].T

    def compute(ids):
        x = table[ids]
        for w in layers:
            x = w["network"](x + time_mix(rms_norm(x, w["network"].first), w))
        return rms_norm(x, last) @ output.T
    golden.make(root, "rwkv6qwen2", "rwkv6qwen2", {
        "block_count": 2, "context_length": 1 << 20, "embedding_length": n, "feed_forward_length": m.FFN, "token_shift_count": 1,
        "attention.head_count": 0, "attention.head_count_kv": 1, "attention.layer_norm_rms_epsilon": 1e-6, "wkv.head_size": head,
        "time_mix_extra_dim": mixed, "time_decay_extra_dim": decayed}, m.tensors, compute,
        "numpy, from arXiv:2501.15570 and the published code of QRWKV 6")


def arwkv7(root):
    """ARWKV 7: RWKV 7's time mixing without gates or a norm."""
    m = Rwkv("arwkv7")
    n, count = m.HIDDEN, m.HIDDEN // m.HEAD
    table, last = m.add("token_embd.weight", 0.3 * m.random.standard_normal((golden.VOCABULARY, n))), m.vector("output_norm", 0.8, 1.2)
    output, layers = m.matrix("output", golden.VOCABULARY, n), []
    for i in range(2):
        p = f"blk.{i}."
        w = {"network": QwenNetwork(m, p), "share": m.vector(p + "time_mix_lerp_fused", 0, 1, 5, 1, 1, n),
             "k_k": m.vector(p + "time_mix_k_k", 0.5, 1.5), "k_a": m.vector(p + "time_mix_k_a", 0, 1),
             "r_k": m.vector(p + "time_mix_r_k", -1, 1)}
        w |= {part: m.matrix(p + "time_mix_" + part, n, n) for part in ("receptance", "key", "value", "output")}
        for part, rank in (("w", 6), ("a", 5), ("v", 4)):
            w[part + "1"], w[part + "2"] = m.matrix(p + f"time_mix_{part}1", rank, n), m.matrix(p + f"time_mix_{part}2", n, rank)
            w[part + "0"] = m.vector(p + f"time_mix_{part}0", -1, 1)
        layers.append(w)

    def time_mix(x, w, first):
        less = before(x) - x
        xr, xw, xk, xv, xa = (x + less * share for share in w["share"].reshape(5, n))
        r, k, v = xr @ w["receptance"].T, xk @ w["key"].T, xv @ w["value"].T
        decay = m.heads(numpy.exp(-numpy.exp(-0.5) * sigmoid(w["w0"] + numpy.tanh(xw @ w["w1"].T) @ w["w2"].T)))
        first = v if first is None else first
        v = v + (first - v) * sigmoid(w["v0"] + xv @ w["v1"].T @ w["v2"].T)
        a = sigmoid(w["a0"] + xa @ w["a1"].T @ w["a2"].T)
        removed = m.heads(k * w["k_k"])
        removed = removed / numpy.linalg.norm(removed, axis=-1, keepdims=True)
        r, k, v, a = (m.heads(part) for part in (r, k * (1 + (a - 1) * w["k_a"]), v, a))
        state, y = numpy.zeros((count, m.HEAD, m.HEAD)), numpy.empty_like(v)  # rows are values, columns keys
        for t in range(len(x)):
            known = numpy.einsum("hji,hi->hj", state, -removed[t])
            state = state * decay[t][:, None, :] + known[:, :, None] * (removed[t] * a[t])[:, None, :] \
                + v[t][:, :, None] * k[t][:, None, :]
            y[t] = numpy.einsum("hji,hi->hj", state, r[t])
        y = y + (r * k * w["r_k"].reshape(count, m.HEAD)).sum(-1, keepdims=True) * v
        return y.reshape(len(x), n) @ w["output"].T, first

    def compute(ids):
        x, first = table[ids], None
        for w in layers:
            mixed, first = time_mix(rms_norm(x, w["network"].first), w, first)
            x = w["network"](x + mixed)
        return rms_norm(x, last) @ output.T
    golden.make(root, "arwkv7", "arwkv7", {
        "block_count": 2, "context_length": 1 << 20, "embedding_length": n, "feed_forward_length": m.FFN, "token_shift_count": 1,
        "attention.head_count": 0, "attention.layer_norm_rms_epsilon": 1e-6, "wkv.head_size": m.HEAD,
        "attention.decay_lora_rank": 6, "attention.iclr_lora_rank": 5, "attention.value_residual_mix_lora_rank": 4,
        "attention.gate_lora_rank": 0}, m.tensors, compute, "numpy, from arXiv:2501.15570 and arXiv:2503.14456")


FAMILIES = [rwkv6_qwen2, arwkv7, kimi_linear, plamo2, jamba, falcon_mamba, falcon_h1, nemotron_h, nemotron_h_moe, lfm2_moe, rwkv6, rwkv7]
