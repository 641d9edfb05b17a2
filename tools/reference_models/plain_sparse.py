"""Grok and SmallThinker, computed plainly in float64 with numpy from their published code."""
import numpy

import golden
from plain import DIM, FFN, HEADS, HIDDEN, LAYERS, Weights, heads, rms_norm, rotate_halves, softmax
from plain_llama import EXPERT_FFN, gelu_tanh

KV, EXPERTS, USED = 2, 6, 2
KEYS = {"context_length": 128, "embedding_length": HIDDEN, "feed_forward_length": FFN, "attention.head_count": HEADS,
        "attention.head_count_kv": KV, "attention.layer_norm_rms_epsilon": 1e-6, "rope.freq_base": 10000.0,
        "rope.dimension_count": DIM, "expert_count": EXPERTS, "expert_used_count": USED,
        "expert_feed_forward_length": EXPERT_FFN}


def relu(x):
    return numpy.maximum(x, 0)


class Layer:
    def __init__(self, w, p, dense):
        self.norms = {name: w.norm(p + name) for name in ("attn_norm", "ffn_norm")}
        self.q, self.k = w.matrix(p + "attn_q", HIDDEN, HIDDEN, 1.5), w.matrix(p + "attn_k", DIM * KV, HIDDEN, 1.5)
        self.v, self.o = w.matrix(p + "attn_v", DIM * KV, HIDDEN), w.matrix(p + "attn_output", HIDDEN, HIDDEN)
        self.router = w.matrix(p + "ffn_gate_inp", EXPERTS, HIDDEN, 2.0)
        self.gate, self.up = (w.matrices(p + f"ffn_{part}_exps", EXPERTS, EXPERT_FFN, HIDDEN) for part in ("gate", "up"))
        self.down = w.matrices(p + "ffn_down_exps", EXPERTS, HIDDEN, EXPERT_FFN)
        if dense:
            self.dense = [w.matrix(p + name, *shape) for name, shape in (
                ("ffn_gate", (FFN, HIDDEN)), ("ffn_up", (FFN, HIDDEN)), ("ffn_down", (HIDDEN, FFN)))]

    def attend(self, x, turned=True, window=0, scale=DIM ** -0.5, cap=0):
        h = rms_norm(x, self.norms["attn_norm"])
        q, k, v = heads(h @ self.q.T, HEADS), heads(h @ self.k.T, KV), heads(h @ self.v.T, KV)
        if turned:
            q, k = rotate_halves(q), rotate_halves(k)
        k, v = k.repeat(HEADS // KV, 1), v.repeat(HEADS // KV, 1)
        scores = numpy.einsum("qhd,khd->hqk", q, k) * scale
        if cap:
            scores = cap * numpy.tanh(scores / cap)
        distance = numpy.arange(len(x))[:, None] - numpy.arange(len(x))
        seen = (distance >= 0) & ((distance < window) if window else True)
        weights = softmax(numpy.where(seen, scores, -numpy.inf))
        return numpy.einsum("hqk,khd->qhd", weights, v).reshape(len(x), -1) @ self.o.T

    def experts(self, logits, h, activation, sigmoid=False):
        """Weights of the chosen add up to 1."""
        out = numpy.zeros_like(h)
        for row, scores in enumerate(1 / (1 + numpy.exp(-logits)) if sigmoid else softmax(logits)):
            chosen = numpy.argsort(-scores, kind="stable")[:USED]
            for c in chosen:
                inner = activation(self.gate[c] @ h[row]) * (self.up[c] @ h[row])
                out[row] += scores[c] / scores[chosen].sum() * (self.down[c] @ inner)
        return out


def _make(root, name, architecture, reference, dense, count, layer, extra, keys, embed=1.0, scale=1.0, cap=0):
    w = Weights(name)
    table, layers = w.embeddings("token_embd", golden.VOCABULARY), []
    for i in range(count):
        layers.append(Layer(w, f"blk.{i}.", dense))
        layers[-1].norms |= {norm: w.norm(f"blk.{i}.{norm}") for norm in extra}
    last, output = w.norm("output_norm"), w.matrix("output", golden.VOCABULARY, HIDDEN)

    def compute(ids):
        x = table[ids] * embed
        for i, one in enumerate(layers):
            x = layer(i, one, x)
        logits = rms_norm(x, last) @ output.T * scale
        return cap * numpy.tanh(logits / cap) if cap else logits
    golden.make(root, name, architecture, KEYS | {"block_count": count} | keys, w.tensors, compute, "numpy, " + reference)


def grok(root):
    def grok_layer(i, l, x, dense, scale, cap, post):
        x = x + rms_norm(l.attend(x, scale=scale, cap=cap), l.norms["attn_output_norm"])
        h = rms_norm(x, l.norms["ffn_norm"])
        out = l.experts(h @ l.router.T, h, gelu_tanh)
        if dense:
            gate, up, down = l.dense
            out = (out + (gelu_tanh(h @ gate.T) * (h @ up.T)) @ down.T) * 0.5 ** 0.5
        return x + rms_norm(out, l.norms[post])
    _make(root, "grok-1", "grok", "from the published code of Grok 1, its factors not in the file", False, LAYERS,
          lambda i, l, x: grok_layer(i, l, x, False, 0.08838834764831845, 30, "layer_output_norm"),
          ("attn_output_norm", "layer_output_norm"), {}, 78.38367176906169, 0.5773502691896257)
    _make(root, "grok-2", "grok", "from the published code of Grok 2: a dense network beside the experts", True, 1,
          lambda i, l, x: grok_layer(i, l, x, True, 0.3, 3, "post_ffw_norm"), ("attn_output_norm", "post_ffw_norm"),
          {"attention.output_scale": 0.3, "attn_logit_softcapping": 3.0, "embedding_scale": 4.0, "logit_scale": 0.7,
           "final_logit_softcapping": 4.0}, 4.0, 0.7, 4.0)


def smallthinker(root):
    def layer(i, l, x):
        logits = x @ l.router.T
        x = x + l.attend(x, turned=i % 4 != 0, window=8 if i % 4 else 0)
        return x + l.experts(logits, rms_norm(x, l.norms["ffn_norm"]), relu, sigmoid=True)
    _make(root, "smallthinker", "smallthinker", "from arXiv:2507.20984: experts are chosen before attention", False, 2, layer, (),
          {"attention.sliding_window": 8, "expert_gating_func": 2})


FAMILIES = [grok, smallthinker]
