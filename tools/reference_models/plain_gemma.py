"""Gemma 4 with experts, computed plainly in float64 with numpy."""
import numpy

import golden
from plain import HIDDEN, Weights, heads, rms_norm, rotate_halves, softmax
from plain_llama import gelu_tanh

HEADS, FFN, EXPERT_FFN, EXPERTS, USED, WINDOW = 4, 48, 16, 6, 2, 8
DIMS, KV_HEADS = (8, 16), (2, 1)        # of a layer with a window, and of one without
SOFTCAP, FULL_BASE, WINDOW_BASE = 20.0, 1e6, 1e4
ROTATED = 4                             # pairs of the layer without a window: the others stand still


def rotate_some(x):
    """x [positions, heads, 16]: pairs (i, i + 8) with the frequencies of all 16, the first ROTATED of them only."""
    half = x.shape[-1] // 2
    angles = numpy.arange(len(x))[:, None] * FULL_BASE ** (-numpy.arange(half) / half)
    angles[:, ROTATED:] = 0
    c, s = numpy.cos(angles)[:, None], numpy.sin(angles)[:, None]
    return numpy.concatenate([x[..., :half] * c - x[..., half:] * s, x[..., :half] * s + x[..., half:] * c], -1)


def attention(q, k, v, window):
    """Scores as they are; a row sees `window` rows, itself among them, or all before it."""
    n, group = len(q), q.shape[1] // k.shape[1]
    scores = numpy.einsum("qhd,khd->hqk", q, k.repeat(group, 1))
    apart = numpy.arange(n)[:, None] - numpy.arange(n)
    seen = (apart >= 0) & (apart < window if window else True)
    return numpy.einsum("hqk,khd->qhd", softmax(numpy.where(seen, scores, -numpy.inf)), v.repeat(group, 1)).reshape(n, -1)


class Layer:
    def __init__(self, w, i, windowed):
        p, self.windowed = f"blk.{i}.", windowed
        self.dim, self.kv = (DIMS[0], KV_HEADS[0]) if windowed else (DIMS[1], KV_HEADS[1])
        self.norms = {name: w.norm(p + name) for name in (
            "attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm", "post_ffw_norm_1", "pre_ffw_norm_2",
            "post_ffw_norm_2")}
        self.q_norm, self.k_norm = w.norm(p + "attn_q_norm", self.dim), w.norm(p + "attn_k_norm", self.dim)
        self.q, self.k = w.matrix(p + "attn_q", HEADS * self.dim, HIDDEN), w.matrix(p + "attn_k", self.kv * self.dim, HIDDEN)
        # Without a window keys are values too.
        self.v = w.matrix(p + "attn_v", self.kv * self.dim, HIDDEN) if windowed else self.k
        self.o = w.matrix(p + "attn_output", HIDDEN, HEADS * self.dim)
        self.gate, self.up = (w.matrix(p + "ffn_" + part, FFN, HIDDEN) for part in ("gate", "up"))
        self.down = w.matrix(p + "ffn_down", HIDDEN, FFN)
        self.router = w.matrix(p + "ffn_gate_inp", EXPERTS, HIDDEN, 2.0 * HIDDEN ** 0.5)
        self.router_scale = w._add(p + "ffn_gate_inp.scale", 1 + w.generator.uniform(-0.2, 0.2, HIDDEN))
        if windowed:  # one layer's experts have gate and up in one tensor, the other's in two
            both = w.matrices(p + "ffn_gate_up_exps", EXPERTS, 2 * EXPERT_FFN, HIDDEN)
            self.gates, self.ups = both[:, :EXPERT_FFN], both[:, EXPERT_FFN:]
        else:
            self.gates, self.ups = (w.matrices(p + f"ffn_{part}_exps", EXPERTS, EXPERT_FFN, HIDDEN) for part in ("gate", "up"))
        self.downs = w.matrices(p + "ffn_down_exps", EXPERTS, HIDDEN, EXPERT_FFN)
        self.expert_scale = w._add(p + "ffn_down_exps.scale", w.generator.uniform(0.5, 1.5, EXPERTS))
        self.out_scale = w._add(p + "layer_output_scale.weight", w.generator.uniform(0.7, 1.3, 1))

    def _norm(self, name, x):
        return rms_norm(x, self.norms[name])

    def _attend(self, x):
        turn = (lambda t: rotate_halves(t, WINDOW_BASE)) if self.windowed else rotate_some
        q, k, v = heads(x @ self.q.T, HEADS), heads(x @ self.k.T, self.kv), heads(x @ self.v.T, self.kv)
        q, k, v = turn(rms_norm(q, self.q_norm)), turn(rms_norm(k, self.k_norm)), rms_norm(v, 1)
        return attention(q, k, v, WINDOW if self.windowed else 0) @ self.o.T

    def _mixture(self, x):
        probabilities = softmax((rms_norm(x, 1) * self.router_scale * HIDDEN ** -0.5) @ self.router.T)
        out = numpy.zeros_like(x)
        for row, (h, p) in enumerate(zip(self._norm("pre_ffw_norm_2", x), probabilities)):
            chosen = numpy.argsort(-p, kind="stable")[:USED]
            for c in chosen:
                y = self.downs[c] @ (gelu_tanh(self.gates[c] @ h) * (self.ups[c] @ h))
                out[row] += p[c] / p[chosen].sum() * self.expert_scale[c] * y
        return out

    def __call__(self, x):
        x = x + self._norm("post_attention_norm", self._attend(self._norm("attn_norm", x)))
        h = self._norm("ffn_norm", x)
        dense = (gelu_tanh(h @ self.gate.T) * (h @ self.up.T)) @ self.down.T
        both = self._norm("post_ffw_norm_1", dense) + self._norm("post_ffw_norm_2", self._mixture(x))
        return (x + self._norm("post_ffw_norm", both)) * self.out_scale


def gemma4_experts(root):
    w = Weights("gemma4-moe")
    table = w.embeddings("token_embd", golden.VOCABULARY)
    layers, last = [Layer(w, 0, True), Layer(w, 1, False)], w.norm("output_norm")
    w._add("rope_freqs.weight", numpy.where(numpy.arange(DIMS[1] // 2) < ROTATED, 1, 1e30))

    def compute(ids):
        x = table[ids] * HIDDEN ** 0.5
        for layer in layers:
            x = layer(x)
        return SOFTCAP * numpy.tanh(rms_norm(x, last) @ table.T / SOFTCAP)

    golden.make(root, "gemma4-moe", "gemma4", {
        "block_count": 2, "context_length": 128, "embedding_length": HIDDEN, "feed_forward_length": FFN,
        "attention.head_count": HEADS, "attention.head_count_kv": list(KV_HEADS), "attention.layer_norm_rms_epsilon": 1e-6,
        "attention.key_length": DIMS[1], "attention.value_length": DIMS[1], "attention.key_length_swa": DIMS[0],
        "attention.value_length_swa": DIMS[0], "rope.dimension_count": DIMS[1], "rope.dimension_count_swa": DIMS[0],
        "rope.freq_base": FULL_BASE, "rope.freq_base_swa": WINDOW_BASE, "attention.sliding_window": WINDOW,
        "attention.sliding_window_pattern": [True, False], "attention.shared_kv_layers": 0,
        "embedding_length_per_layer_input": 0, "final_logit_softcapping": SOFTCAP, "expert_count": EXPERTS,
        "expert_used_count": USED, "expert_feed_forward_length": EXPERT_FFN},
        w.tensors, compute, "numpy, from the published code of Gemma 4: a dense network and experts side by side")


FAMILIES = [gemma4_experts]
