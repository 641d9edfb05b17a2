"""Families without a class in the transformers package, computed plainly in float64 with numpy from their definitions."""
import numpy

import golden

HIDDEN, HEADS, FFN, LAYERS = 32, 4, 48, 2
DIM = HIDDEN // HEADS


class Weights:
    """Random tensors under the names of the file."""

    def __init__(self, name):
        self.generator, self.tensors = golden.random(name), {}

    def _add(self, name, values):
        self.tensors[name] = values.astype("f4")
        return self.tensors[name].astype("f8")

    def matrix(self, name, rows, columns, gain=1.1):
        return self._add(name + ".weight", self.generator.standard_normal((rows, columns)) * gain / columns ** 0.5)

    def matrices(self, name, count, rows, columns):
        return self._add(name + ".weight", self.generator.standard_normal((count, rows, columns)) * 1.1 / columns ** 0.5)

    def embeddings(self, name, rows):
        return self._add(name + ".weight", 0.3 * self.generator.standard_normal((rows, HIDDEN)))

    def bias(self, name, n):
        return self._add(name + ".bias", 0.2 * self.generator.standard_normal(n))

    def norm(self, name, n=HIDDEN):
        return self._add(name + ".weight", 1 + self.generator.uniform(-0.2, 0.2, n))


def rms_norm(x, weight, eps=1e-6):
    return x / numpy.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def layer_norm(x, weight, bias, eps=1e-12):
    centred = x - x.mean(-1, keepdims=True)
    return centred / numpy.sqrt((centred * centred).mean(-1, keepdims=True) + eps) * weight + bias


def silu(x):
    return x / (1 + numpy.exp(-x))


def gelu(x):
    # erf to double precision by its series and continued fraction is in the standard library, one number at a time
    from math import erf
    return 0.5 * x * (1 + numpy.vectorize(erf)(x / 2 ** 0.5))


def softmax(x):
    e = numpy.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def rotate_adjacent(x, base=10000.0):
    """x [positions, heads, dim]: pairs (2i, 2i + 1) turn by position * base^(-2i / dim) (arXiv:2104.09864)."""
    angles = numpy.arange(len(x))[:, None] * base ** (-numpy.arange(0, x.shape[-1], 2) / x.shape[-1])
    c, s = numpy.cos(angles)[:, None], numpy.sin(angles)[:, None]
    out = numpy.empty_like(x)
    out[..., 0::2], out[..., 1::2] = x[..., 0::2] * c - x[..., 1::2] * s, x[..., 0::2] * s + x[..., 1::2] * c
    return out


def rotate_halves(x, base=10000.0):
    """The same with pairs (i, i + dim / 2)."""
    half = x.shape[-1] // 2
    order = numpy.arange(2 * half).reshape(2, half).T.reshape(-1)
    turned = numpy.empty_like(x)
    turned[..., order] = rotate_adjacent(x[..., order], base)
    return turned


def alibi_slopes(heads):
    """arXiv:2108.12409: 2^(-8 i / heads); between powers of two every second slope of the next one follows."""
    def power_of_two(n):
        return [2 ** (-8 * (i + 1) / n) for i in range(n)]
    below = 2 ** int(numpy.log2(heads))
    return numpy.array(power_of_two(below) + power_of_two(2 * below)[0::2][:heads - below])


def attention(q, k, v, bias=None, causal=True):
    """q [n, heads, dim]; k, v [n, kv heads, dim]; bias [heads, n, n]. Returns [n, heads * dim]."""
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat(group, 1), v.repeat(group, 1)
    scores = numpy.einsum("qhd,khd->hqk", q, k) / q.shape[-1] ** 0.5
    if bias is not None:
        scores = scores + bias
    if causal:
        scores = numpy.where(numpy.tril(numpy.ones(scores.shape[-2:], bool)), scores, -numpy.inf)
    return numpy.einsum("hqk,khd->qhd", softmax(scores), v).reshape(len(q), -1)


def heads(x, count):
    return x.reshape(len(x), count, -1)


def _llama(root, name, architecture, kv_heads, biased, alibi, keys, reference):
    """Llama's layers: baichuan and internlm2 differ in positions and biases only."""
    w = Weights(name)
    table, layers = w.embeddings("token_embd", golden.VOCABULARY), []
    for i in range(LAYERS):
        p = f"blk.{i}."
        layers.append(dict(
            attn_norm=w.norm(p + "attn_norm"), ffn_norm=w.norm(p + "ffn_norm"),
            q=w.matrix(p + "attn_q", HIDDEN, HIDDEN, 1.5), k=w.matrix(p + "attn_k", DIM * kv_heads, HIDDEN, 1.5),
            v=w.matrix(p + "attn_v", DIM * kv_heads, HIDDEN), o=w.matrix(p + "attn_output", HIDDEN, HIDDEN),
            bias=w.bias(p + "attn_output", HIDDEN) if biased else 0,
            gate=w.matrix(p + "ffn_gate", FFN, HIDDEN), up=w.matrix(p + "ffn_up", FFN, HIDDEN),
            down=w.matrix(p + "ffn_down", HIDDEN, FFN)))
    last, output = w.norm("output_norm"), w.matrix("output", golden.VOCABULARY, HIDDEN)

    def compute(ids):
        x, n = table[ids], len(ids)
        bias = None
        if alibi:
            bias = -alibi_slopes(HEADS)[:, None, None] * numpy.abs(numpy.arange(n)[:, None] - numpy.arange(n))
        for layer in layers:
            h = rms_norm(x, layer["attn_norm"])
            q, k = heads(h @ layer["q"].T, HEADS), heads(h @ layer["k"].T, kv_heads)
            if not alibi:
                q, k = rotate_adjacent(q), rotate_adjacent(k)
            x = x + attention(q, k, heads(h @ layer["v"].T, kv_heads), bias) @ layer["o"].T + layer["bias"]
            h = rms_norm(x, layer["ffn_norm"])
            x = x + (silu(h @ layer["gate"].T) * (h @ layer["up"].T)) @ layer["down"].T
        return rms_norm(x, last) @ output.T

    golden.make(root, name, architecture, {
        "block_count": LAYERS, "context_length": 128, "embedding_length": HIDDEN, "feed_forward_length": FFN,
        "attention.head_count": HEADS, "attention.head_count_kv": kv_heads, "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.dimension_count": DIM} | keys, w.tensors, compute, reference)


def baichuan(root):
    _llama(root, "baichuan", "baichuan", HEADS, False, True, {"attention.max_alibi_bias": 8.0},
           "numpy, from arXiv:2309.10305: ALiBi")


def internlm2(root):
    _llama(root, "internlm2", "internlm2", 2, True, False, {"rope.freq_base": 10000.0}, "numpy, from arXiv:2403.17297")


def jina_bert(root):
    """arXiv:2310.19923: BERT with symmetric ALiBi and gated networks."""
    w = Weights("jina-bert-v2")
    table, types = w.embeddings("token_embd", golden.VOCABULARY), w.embeddings("token_types", 2)
    first, layers = (w.norm("token_embd_norm"), w.bias("token_embd_norm", HIDDEN)), []
    for i in range(LAYERS):
        p = f"blk.{i}."
        layers.append({part: (w.matrix(p + part, rows, columns, gain), w.bias(p + part, rows)) for part, rows, columns, gain in (
            ("attn_q", HIDDEN, HIDDEN, 1.5), ("attn_k", HIDDEN, HIDDEN, 1.5), ("attn_v", HIDDEN, HIDDEN, 1.1),
            ("attn_output", HIDDEN, HIDDEN, 1.1), ("ffn_down", HIDDEN, FFN, 1.1))} | {
            "up": w.matrix(p + "ffn_up", 2 * FFN, HIDDEN),
            "attn_output_norm": (w.norm(p + "attn_output_norm"), w.bias(p + "attn_output_norm", HIDDEN)),
            "layer_output_norm": (w.norm(p + "layer_output_norm"), w.bias(p + "layer_output_norm", HIDDEN))})

    def compute(ids):
        x, n = layer_norm(table[ids] + types[0], *first), len(ids)
        bias = -alibi_slopes(HEADS)[:, None, None] * numpy.abs(numpy.arange(n)[:, None] - numpy.arange(n))
        for layer in layers:
            q, k, v = (heads(x @ layer[part][0].T + layer[part][1], HEADS) for part in ("attn_q", "attn_k", "attn_v"))
            attended = attention(q, k, v, bias, causal=False) @ layer["attn_output"][0].T + layer["attn_output"][1]
            x = layer_norm(x + attended, *layer["attn_output_norm"])
            gated, plain = numpy.split(x @ layer["up"].T, 2, -1)
            network = (gelu(gated) * plain) @ layer["ffn_down"][0].T + layer["ffn_down"][1]
            x = layer_norm(x + network, *layer["layer_output_norm"])
        return x

    golden.make(root, "jina-bert-v2", "jina-bert-v2", {
        "block_count": LAYERS, "context_length": 128, "embedding_length": HIDDEN, "feed_forward_length": FFN,
        "attention.head_count": HEADS, "attention.layer_norm_epsilon": 1e-12, "attention.causal": False, "pooling_type": 1},
        w.tensors, compute, "numpy, from arXiv:2310.19923", "mean")


def nomic_bert_moe(root):
    """arXiv:2502.07972: BERT with rotation, and on every second layer experts, two for each token."""
    experts, used, ffn = 6, 2, 16
    w = Weights("nomic-bert-moe")
    table, types = w.embeddings("token_embd", golden.VOCABULARY), w.embeddings("token_types", 1)
    first, layers = (w.norm("token_embd_norm"), w.bias("token_embd_norm", HIDDEN)), []
    for i in range(LAYERS):
        p = f"blk.{i}."
        layer = {"attn_qkv": (w.matrix(p + "attn_qkv", 3 * HIDDEN, HIDDEN, 1.3), w.bias(p + "attn_qkv", 3 * HIDDEN)),
                 "attn_output": (w.matrix(p + "attn_output", HIDDEN, HIDDEN), w.bias(p + "attn_output", HIDDEN))}
        if i % 2 == 1:
            layer["router"] = w.matrix(p + "ffn_gate_inp", experts, HIDDEN, 2.0)
            layer["ups"] = w.matrices(p + "ffn_up_exps", experts, ffn, HIDDEN)
            layer["downs"] = w.matrices(p + "ffn_down_exps", experts, HIDDEN, ffn)
        else:
            layer["ffn_up"] = w.matrix(p + "ffn_up", ffn, HIDDEN), w.bias(p + "ffn_up", ffn)
            layer["ffn_down"] = w.matrix(p + "ffn_down", HIDDEN, ffn), w.bias(p + "ffn_down", HIDDEN)
        for norm in ("attn_output_norm", "layer_output_norm"):
            layer[norm] = w.norm(p + norm), w.bias(p + norm, HIDDEN)
        layers.append(layer)

    def network(layer, x):
        if "router" not in layer:
            hidden = gelu(x @ layer["ffn_up"][0].T + layer["ffn_up"][1])
            return hidden @ layer["ffn_down"][0].T + layer["ffn_down"][1]
        weights, out = softmax(x @ layer["router"].T), numpy.zeros_like(x)
        for row, (token, each) in enumerate(zip(x, weights)):
            for expert in numpy.argsort(-each)[:used]:
                out[row] += each[expert] * (layer["downs"][expert] @ gelu(layer["ups"][expert] @ token))
        return out

    def compute(ids):
        x = layer_norm(table[ids] + types[0], *first)
        for layer in layers:
            q, k, v = (heads(part, HEADS) for part in numpy.split(x @ layer["attn_qkv"][0].T + layer["attn_qkv"][1], 3, -1))
            attended = attention(rotate_halves(q), rotate_halves(k), v, causal=False)
            x = layer_norm(x + attended @ layer["attn_output"][0].T + layer["attn_output"][1], *layer["attn_output_norm"])
            x = layer_norm(x + network(layer, x), *layer["layer_output_norm"])
        return x

    golden.make(root, "nomic-bert-moe", "nomic-bert-moe", {
        "block_count": LAYERS, "context_length": 128, "embedding_length": HIDDEN, "feed_forward_length": ffn,
        "attention.head_count": HEADS, "attention.layer_norm_epsilon": 1e-12, "attention.causal": False, "pooling_type": 1,
        "rope.freq_base": 10000.0, "moe_every_n_layers": 2, "expert_count": experts, "expert_used_count": used},
        w.tensors, compute, "numpy, from arXiv:2502.07972", "mean")


FAMILIES = [baichuan, internlm2, jina_bert, nomic_bert_moe]
