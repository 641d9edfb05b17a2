"""Families whose layers differ from Llama's in their order, shapes or norms, computed plainly in float64 with numpy."""
import numpy

import golden
from plain import (DIM, FFN, HEADS, HIDDEN, LAYERS, Weights, alibi_slopes, heads, layer_norm, rms_norm, rotate_adjacent,
                   rotate_halves, silu, softmax)
from plain_llama import EXPERT_FFN

KV = 2
KEYS = {"block_count": LAYERS, "context_length": 128, "embedding_length": HIDDEN, "feed_forward_length": FFN,
        "attention.head_count": HEADS, "attention.head_count_kv": KV, "attention.layer_norm_rms_epsilon": 1e-6}
ROTARY = {"rope.dimension_count": DIM, "rope.freq_base": 10000.0}


def attend(q, k, v, scale=None, window=0, bias=0.0):
    """q [n, heads, dim], k and v [n, kv heads, dim]. Returns [n, heads * dim of values]."""
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat(group, 1), v.repeat(group, 1)
    scores = numpy.einsum("qhd,khd->hqk", q, k) * (q.shape[-1] ** -0.5 if scale is None else scale) + bias
    apart = numpy.arange(len(q))[:, None] - numpy.arange(len(q))
    seen = (apart >= 0) & ((apart < window) if window else True)
    return numpy.einsum("hqk,khd->qhd", softmax(numpy.where(seen, scores, -numpy.inf)), v).reshape(len(q), -1)


class Attention:
    def __init__(self, w, p, count=HEADS, kv=KV, fused=False, biased=False, turn=rotate_halves):
        self.count, self.kv, self.turn = count, kv, turn
        if fused:
            rows = (count + 2 * kv) * DIM
            both, bias = w.matrix(p + "attn_qkv", rows, HIDDEN, 1.5), w.bias(p + "attn_qkv", rows) if biased else numpy.zeros(rows)
            cut = [count * DIM, (count + kv) * DIM]
            self.matrices, self.biases = numpy.split(both, cut), numpy.split(bias, cut)
        else:
            self.matrices = [w.matrix(p + "attn_" + part, n * DIM, HIDDEN, 1.5) for part, n in zip("qkv", (count, kv, kv))]
            self.biases = [w.bias(p + "attn_" + part, n * DIM) if biased else 0 for part, n in zip("qkv", (count, kv, kv))]
        self.out, self.out_bias = w.matrix(p + "attn_output", HIDDEN, count * DIM), w.bias(p + "attn_output", HIDDEN) if biased else 0

    def parts(self, h):
        return [heads(h @ matrix.T + bias, n) for matrix, bias, n in zip(
            self.matrices, self.biases, (self.count, self.kv, self.kv))]

    def __call__(self, h, norm=lambda q, k: (q, k), norm_last=False, **options):
        q, k, v = self.parts(h)
        if not norm_last:
            q, k = norm(q, k)
        if self.turn:
            q, k = self.turn(q), self.turn(k)
        if norm_last:
            q, k = norm(q, k)
        return attend(q, k, v, **options) @ self.out.T + self.out_bias


class Network:
    """silu(gate) * up, the two in one matrix of the file where `joined`."""

    def __init__(self, w, p, ffn=FFN, biased=False, joined=False):
        self.bias = [w.bias(p + "ffn_" + part, n) if biased else 0 for part, n in (("gate", ffn), ("up", ffn), ("down", HIDDEN))]
        if joined:
            self.gate, self.up = numpy.split(w.matrix(p + "ffn_up", 2 * ffn, HIDDEN), 2)
        else:
            self.gate, self.up = (w.matrix(p + "ffn_" + part, ffn, HIDDEN) for part in ("gate", "up"))
        self.down = w.matrix(p + "ffn_down", HIDDEN, ffn)

    def __call__(self, h):
        gate, up, down = self.bias
        return (silu(h @ self.gate.T + gate) * (h @ self.up.T + up)) @ self.down.T + down


class Experts:
    """The best two by softmax; their weights add up to 1."""

    def __init__(self, w, p, count=6):
        self.router = w.matrix(p + "ffn_gate_inp", count, HIDDEN, 2.0)
        self.gate, self.up = (w.matrices(p + f"ffn_{part}_exps", count, EXPERT_FFN, HIDDEN) for part in ("gate", "up"))
        self.down = w.matrices(p + "ffn_down_exps", count, HIDDEN, EXPERT_FFN)

    def __call__(self, h):
        out = numpy.zeros_like(h)
        for row, scores in enumerate(softmax(h @ self.router.T)):
            chosen = numpy.argsort(-scores, kind="stable")[:2]
            for c in chosen:
                out[row] += scores[c] / scores[chosen].sum() * (
                    self.down[c] @ (silu(self.gate[c] @ h[row]) * (self.up[c] @ h[row])))
        return out


def head_norms(w, p):
    q_norm, k_norm = w.norm(p + "attn_q_norm", DIM), w.norm(p + "attn_k_norm", DIM)
    return lambda q, k: (rms_norm(q, q_norm), rms_norm(k, k_norm))


def _make(root, name, architecture, reference, keys, layer_of, tied=False, norm=rms_norm, last_bias=False, loops=1):
    """layer_of(w, prefix, index) returns what a layer makes of x."""
    w = Weights(name)
    table = w.embeddings("token_embd", golden.VOCABULARY)
    layers = [layer_of(w, f"blk.{i}.", i) for i in range(keys.get("block_count", LAYERS))]
    last = [w.norm("output_norm")] + ([w.bias("output_norm", HIDDEN), 1e-5] if last_bias else [])
    output = table if tied else w.matrix("output", golden.VOCABULARY, HIDDEN)

    def compute(ids):
        x = table[ids]
        for loop in range(loops):
            if loop:
                x = norm(x, *last)
            for layer in layers:
                x = layer(x)
        return norm(x, *last) @ output.T
    keys = {key: value for key, value in (KEYS | keys).items() if value is not None}
    golden.make(root, name, architecture, keys, w.tensors, compute, "numpy, " + reference)


def plain_layer(**options):
    def layer_of(w, p, _index):
        first, second = w.norm(p + "attn_norm"), w.norm(p + "ffn_norm")
        attention, network = Attention(w, p, **options), Network(w, p)

        def layer(x):
            x = x + attention(rms_norm(x, first))
            return x + network(rms_norm(x, second))
        return layer
    return layer_of


def same_layers(root):
    _make(root, "paddleocr", "paddleocr", "from arXiv:2510.14528, text: as ERNIE 4.5, sections of rotation",
          ROTARY | {"rope.dimension_sections": [1, 1, 2, 0]}, plain_layer())
    _make(root, "cogvlm", "cogvlm", "from arXiv:2311.03079, text", ROTARY | {"attention.head_count_kv": None},
          plain_layer(kv=HEADS, fused=True))
    _make(root, "nanbeige", "nanbeige", "from the published code of Nanbeige 4.1: layers gone through twice",
          ROTARY | {"num_loops": 2, "skip_loop_final_norm": False, "attention.key_length": DIM,
                    "attention.value_length": DIM}, plain_layer(turn=rotate_adjacent), loops=2)


def openelm(root):
    """arXiv:2404.14619: layers of different widths."""
    counts, kv, ffn = [2, 4], [1, 2], [24, 40]

    def layer_of(w, p, i):
        first, second, norm = w.norm(p + "attn_norm"), w.norm(p + "ffn_norm"), head_norms(w, p)
        attention, network = Attention(w, p, counts[i], kv[i], fused=True), Network(w, p, ffn[i])

        def layer(x):
            x = x + attention(rms_norm(x, first), norm)
            return x + network(rms_norm(x, second))
        return layer
    _make(root, "openelm", "openelm", "from arXiv:2404.14619", ROTARY | {
        "attention.head_count": counts, "attention.head_count_kv": kv, "feed_forward_length": ffn, "attention.key_length": DIM,
        "attention.value_length": DIM}, layer_of, tied=True)


def jais(root):
    """arXiv:2308.16149: ALiBi, and scores divided by the heads' width."""
    def layer_of(w, p, _index):
        first, second = ((w.norm(p + name), w.bias(p + name, HIDDEN), 1e-5) for name in ("attn_norm", "ffn_norm"))
        attention, network = Attention(w, p, HEADS, HEADS, fused=True, biased=True, turn=None), Network(w, p, biased=True)

        def layer(x):
            apart = numpy.abs(numpy.arange(len(x))[:, None] - numpy.arange(len(x)))
            x = x + attention(layer_norm(x, *first), scale=1 / DIM, bias=-alibi_slopes(HEADS)[:, None, None] * apart)
            return x + network(layer_norm(x, *second))
        return layer
    _make(root, "jais", "jais", "from arXiv:2308.16149", {
        "attention.head_count_kv": None, "attention.layer_norm_rms_epsilon": None, "attention.layer_norm_epsilon": 1e-5,
        "attention.max_alibi_bias": 8.0}, layer_of, norm=layer_norm, last_bias=True)


def arctic(root):
    def layer_of(w, p, _index):
        first, second, third = (w.norm(p + name) for name in ("attn_norm", "ffn_norm", "ffn_norm_exps"))
        attention, network, experts = Attention(w, p, turn=rotate_adjacent), Network(w, p, HIDDEN), Experts(w, p)

        def layer(x):
            sum_ = x + attention(rms_norm(x, first))
            return sum_ + network(rms_norm(sum_, second)) + experts(rms_norm(x, third))
        return layer
    _make(root, "arctic", "arctic", "from the published code of Snowflake Arctic: experts beside attention and network",
          ROTARY | {"expert_count": 6, "expert_used_count": 2, "feed_forward_length": EXPERT_FFN}, layer_of)


def plamo(root):
    def one_norm(w, p, _index):
        norm, attention, network = w.norm(p + "attn_norm"), Attention(w, p), Network(w, p)
        return lambda x: x + attention(rms_norm(x, norm)) + network(rms_norm(x, norm))
    _make(root, "plamo", "plamo", "from the published code of PLaMo 13B: both branches at once", {}, one_norm)

    def windows(w, p, i):
        norms = [w.norm(p + name) for name in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")]
        norm, base = head_norms(w, p), (100.0, 100.0, 10000.0)[i]
        attention = Attention(w, p, fused=True, turn=lambda x: rotate_halves(x, base))
        network = Network(w, p, joined=True)

        def layer(x):
            x = x + rms_norm(attention(rms_norm(x, norms[0]), norm, window=0 if i == 2 else 8), norms[1])
            return x + rms_norm(network(rms_norm(x, norms[2])), norms[3])
        return layer
    _make(root, "plamo3", "plamo3", "from the published code of PLaMo 3: norms before and after, windows", ROTARY | {
        "block_count": 3, "attention.key_length": DIM, "attention.value_length": DIM, "attention.sliding_window": 8,
        "attention.sliding_window_pattern": 3, "rope.freq_base_swa": 100.0}, windows)


def hunyuan_vl(root):
    """Norms follow the rotation, whose base is stretched by alpha^(dim / (dim - 2))."""
    base = 10000.0 * 50.0 ** (DIM / (DIM - 2))

    def layer_of(w, p, _index):
        first, second, norm = w.norm(p + "attn_norm"), w.norm(p + "ffn_norm"), head_norms(w, p)
        attention, network = Attention(w, p, turn=lambda x: rotate_halves(x, base)), Network(w, p)

        def layer(x):
            x = x + attention(rms_norm(x, first), norm, norm_last=True)
            return x + network(rms_norm(x, second))
        return layer
    _make(root, "hunyuan-vl", "hunyuan_vl", "from the published code of HunyuanOCR, text", ROTARY | {
        "rope.scaling.type": "none", "rope.scaling.factor": 1.0, "rope.scaling.alpha": 50.0,
        "rope.scaling.original_context_length": 128, "rope.dimension_sections": [1, 1, 1, 1], "attention.key_length": DIM,
        "attention.value_length": DIM}, layer_of, tied=True)


def chameleon(root):
    """Layer norms of queries and keys, each head its own; the larger model's other norms follow what they norm."""
    def layer_of(swin):
        def one(w, p, _index):
            first, second = w.norm(p + "attn_norm"), w.norm(p + "ffn_norm")
            norms = []
            for part, count in (("q", HEADS), ("k", KV)):
                name = p + f"attn_{part}_norm"
                norms.append([w.norm(name, count * DIM).reshape(count, DIM), w.bias(name, count * DIM).reshape(count, DIM)])
                for kind in ("weight", "bias"):
                    w.tensors[f"{name}.{kind}"] = w.tensors[f"{name}.{kind}"].reshape(count, DIM)
            attention, network = Attention(w, p, turn=rotate_adjacent), Network(w, p)

            def norm(q, k):
                return layer_norm(q, *norms[0], 1e-5), layer_norm(k, *norms[1], 1e-5)

            def layer(x):
                if swin:
                    x = x + rms_norm(attention(x, norm), first)
                    return x + rms_norm(network(x), second)
                x = x + attention(rms_norm(x, first), norm)
                return x + network(rms_norm(x, second))
            return layer
        return one
    for name, swin in (("chameleon", False), ("chameleon-swin", True)):
        _make(root, name, "chameleon", "from arXiv:2405.09818 and its published code", ROTARY | {"swin_norm": swin}, layer_of(swin))


def grovemoe(root):
    """arXiv:2508.07785: two neighbouring experts share a small one, which counts for a part of each that is chosen."""
    count, small, part = 6, 8, 0.3

    def layer_of(w, p, _index):
        first, second, norm = w.norm(p + "attn_norm"), w.norm(p + "ffn_norm"), head_norms(w, p)
        attention, experts = Attention(w, p), Experts(w, p)
        gate, up = (w.matrices(p + f"ffn_{name}_chexps", count // 2, small, HIDDEN) for name in ("gate", "up"))
        down = w.matrices(p + "ffn_down_chexps", count // 2, HIDDEN, small)

        def shared(h):
            out = numpy.zeros_like(h)
            for row, scores in enumerate(softmax(h @ experts.router.T)):
                chosen = numpy.argsort(-scores, kind="stable")[:2]
                for c in chosen:
                    s = c // 2
                    out[row] += scores[c] / scores[chosen].sum() * (down[s] @ (silu(gate[s] @ h[row]) * (up[s] @ h[row])))
            return out

        def layer(x):
            x = x + attention(rms_norm(x, first), norm)
            h = rms_norm(x, second)
            return x + experts(h) + part * shared(h)
        return layer
    _make(root, "grovemoe", "grovemoe", "from arXiv:2508.07785 and its published code", ROTARY | {
        "expert_count": count, "expert_used_count": 2, "expert_feed_forward_length": EXPERT_FFN, "experts_per_group": 2,
        "expert_chunk_feed_forward_length": small, "expert_group_scale": part, "attention.key_length": DIM,
        "attention.value_length": DIM}, layer_of)


def talkie(root):
    """Norms without weights but for a gain of each query head; a part of the embedding is added after every layer."""
    w = Weights("talkie")
    table = w.embeddings("token_embd", golden.VOCABULARY)

    def norm(x):
        return rms_norm(x, 1.0)

    layers = []
    for i in range(LAYERS):
        p = f"blk.{i}."
        gains, part = w.norm(p + "attn_q_norm", HEADS), w.norm(p + "layer_output_scale", 1)
        w.tensors[p + "attn_q_norm.weight"] = gains.reshape(HEADS, 1)
        layers.append((gains[:, None], part, Attention(w, p), Network(w, p)))
    output = w.matrix("output", golden.VOCABULARY, HIDDEN)

    def compute(ids):
        x = skip = norm(table[ids])
        for gains, part, attention, network in layers:
            x = x + attention(norm(x), lambda q, k: (norm(q) * gains, norm(k)), norm_last=True)
            x = x + network(norm(x)) + part * skip
        return norm(x) @ output.T * 0.7
    golden.make(root, "talkie", "talkie", KEYS | ROTARY | {"logit_scale": 0.7}, w.tensors, compute,
                "numpy, from the published reader of Talkie's files")


FAMILIES = [grovemoe, talkie, chameleon, same_layers, openelm, jais, arctic, plamo, hunyuan_vl]
