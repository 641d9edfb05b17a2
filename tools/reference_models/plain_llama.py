"""Families that are Llama with other norms, biases, positions or experts, computed plainly in float64 with numpy."""
import dataclasses

import numpy

import golden
from plain import (DIM, FFN, HEADS, HIDDEN, LAYERS, Weights, alibi_slopes, attention, heads, layer_norm, rms_norm,
                   rotate_adjacent, rotate_halves, silu, softmax)

EXPERT_FFN = 16


@dataclasses.dataclass
class Experts:
    """A softmax over all chooses `used`; their weights add up to 1 where `normalise`. Every row goes through `shared`.

    With `groups`, as DeepSeek V3 has it (arXiv:2412.19437): scores are sigmoids, a bias takes part in the choice alone, and
    only the half of the groups whose two best scores are highest is chosen from; weights are multiplied by `scale`.
    """
    count: int = 6
    used: int = 2
    normalise: bool = False
    shared: int = 0
    dense: int = 0  # first layers without experts
    groups: int = 0
    scale: float = 1.0


@dataclasses.dataclass
class Shape:
    kv_heads: int = 2
    rotate: object = rotate_adjacent  # None: ALiBi
    rotated: int = DIM                # elements of a head, the first ones
    causal: bool = True               # else an encoder, whose result are the normed rows
    joined: bool = False              # gate and up are one matrix of the file
    last: str = "output_norm"
    left_out: tuple = ()              # of each layer "attention", all of it but its last matrix ("scores"), the "network", or ""
    layer_norm: bool = False          # with a bias unless `bare_norms`
    bare_norms: bool = False
    qkv_bias: bool = False
    biases: bool = False              # of all other matrices
    fused: bool = False               # query, key and value are one matrix of the file
    head_norms: bool = False          # of queries and keys
    clamp: float = 0
    ffn_norm: str = "ffn_norm"
    gated: object = silu              # gate and up; None: up alone, with gelu by tanh
    experts: Experts = None


def gelu_tanh(x):
    return 0.5 * x * (1 + numpy.tanh((2 / numpy.pi) ** 0.5 * (x + 0.044715 * x ** 3)))


class Model:
    def __init__(self, name, shape):
        self.w, self.shape = Weights(name), shape
        self.table = self.w.embeddings("token_embd", golden.VOCABULARY)
        self.layers = [self._layer(i) for i in range(len(shape.left_out) or LAYERS)]
        self.last = self._norm(shape.last)
        self.output = self.w.matrix("output", golden.VOCABULARY, HIDDEN) if shape.causal else None

    def _norm(self, name, n=HIDDEN):
        weight = self.w.norm(name, n)
        if not self.shape.layer_norm:
            return lambda x: rms_norm(x, weight)
        bias = 0 if self.shape.bare_norms else self.w.bias(name, n)
        return lambda x: layer_norm(x, weight, bias, 1e-5)

    def _linear(self, name, rows, columns, biased, gain=1.1):
        matrix = self.w.matrix(name, rows, columns, gain)
        bias = self.w.bias(name, rows) if biased else 0
        return lambda x: x @ matrix.T + bias

    def _layer(self, i):
        s, p, kv = self.shape, f"blk.{i}.", DIM * self.shape.kv_heads
        left_out = s.left_out[i] if s.left_out else ""
        layer = {"attn_norm": self._norm(p + "attn_norm") if left_out != "attention" else None,
                 "ffn_norm": self._norm(p + s.ffn_norm) if left_out != "network" else None}
        if left_out in ("attention", "scores"):
            pass
        elif s.fused:
            qkv = self._linear(p + "attn_qkv", HIDDEN + 2 * kv, HIDDEN, s.qkv_bias, 1.5)
        else:
            parts = [self._linear(p + "attn_" + part, rows, HIDDEN, s.qkv_bias, 1.5)
                     for part, rows in (("q", HIDDEN), ("k", kv), ("v", kv))]
            qkv = lambda x: numpy.concatenate([part(x) for part in parts], -1)
        if left_out != "attention":
            layer["attend"] = out = self._linear(p + "attn_output", HIDDEN, HIDDEN, s.biases)
        if s.head_norms:
            q_norm, k_norm = self._norm(p + "attn_q_norm", DIM), self._norm(p + "attn_k_norm", DIM)
        else:
            q_norm = k_norm = lambda x: x
        if left_out not in ("attention", "scores"):
            layer["attend"] = lambda x: out(self._attention(qkv(x), q_norm, k_norm))
        sparse = s.experts is not None and i >= s.experts.dense
        if left_out != "network":
            layer["ffn"] = self._experts(p) if sparse else self._network(p, FFN, "")
        return layer

    def _attention(self, qkv, q_norm, k_norm):
        s, kv, n, bias = self.shape, DIM * self.shape.kv_heads, len(qkv), None
        if s.rotate is None:
            bias = -alibi_slopes(HEADS)[:, None, None] * numpy.abs(numpy.arange(n)[:, None] - numpy.arange(n))
        if s.clamp:
            qkv = qkv.clip(-s.clamp, s.clamp)
        q, k, v = heads(qkv[:, :HIDDEN], HEADS), heads(qkv[:, HIDDEN:HIDDEN + kv], s.kv_heads), heads(qkv[:, -kv:], s.kv_heads)
        q, k = q_norm(q), k_norm(k)
        if s.rotate is not None:
            q, k = self._turn(q), self._turn(k)
        return attention(q, k, v, bias, s.causal)

    def _network(self, p, ffn, suffix):
        s = self.shape
        up = self._linear(p + "ffn_up" + suffix, 2 * ffn if s.joined else ffn, HIDDEN, s.biases)
        down = self._linear(p + "ffn_down" + suffix, HIDDEN, ffn, s.biases)
        if s.gated is None:
            return lambda x: down(gelu_tanh(up(x)))
        if s.joined:
            return lambda x: down(s.gated(up(x)[:, :ffn]) * up(x)[:, ffn:])
        gate = self._linear(p + "ffn_gate" + suffix, ffn, HIDDEN, False)
        return lambda x: down(s.gated(gate(x)) * up(x))

    def _experts(self, p):
        e = self.shape.experts
        router = self.w.matrix(p + "ffn_gate_inp", e.count, HIDDEN, 2.0)
        bias = self.w.bias(p + "exp_probs_b", e.count) if e.groups else 0
        gate, up = (self.w.matrices(p + f"ffn_{part}_exps", e.count, EXPERT_FFN, HIDDEN) for part in ("gate", "up"))
        down = self.w.matrices(p + "ffn_down_exps", e.count, HIDDEN, EXPERT_FFN)
        shared = self._network(p, e.shared * EXPERT_FFN, "_shexp") if e.shared else lambda x: 0

        def compute(x):
            out = numpy.zeros_like(x)
            logits = x @ router.T
            weights = 1 / (1 + numpy.exp(-logits)) if e.groups else softmax(logits)
            for row, (h, weight) in enumerate(zip(x, weights)):
                score = weight + bias
                if e.groups:
                    best_two = numpy.sort(score.reshape(e.groups, -1), -1)[:, -2:].sum(-1)
                    left_out = numpy.argsort(best_two, kind="stable")[:e.groups // 2]
                    score.reshape(e.groups, -1)[left_out] = -numpy.inf
                chosen = numpy.argsort(-score, kind="stable")[:e.used]
                total = weight[chosen].sum() if e.normalise else 1
                for c in chosen:
                    out[row] += e.scale * weight[c] / total * (down[c] @ (silu(gate[c] @ h) * (up[c] @ h)))
            return out + shared(x)
        return compute

    def _turn(self, x):
        n = self.shape.rotated
        return numpy.concatenate([self.shape.rotate(x[..., :n]), x[..., n:]], -1)

    def compute(self, ids):
        """Logits, or the rows of an encoder."""
        x = self.table[ids]
        for layer in self.layers:
            if layer["attn_norm"] is not None:
                x = x + layer["attend"](layer["attn_norm"](x))
            if layer["ffn_norm"] is not None:
                x = x + layer["ffn"](layer["ffn_norm"](x))
        return self.last(x) @ self.output.T if self.shape.causal else self.last(x)


def _make(root, name, architecture, reference, shape, keys=None):
    model = Model(name, shape)
    norm = "attention.layer_norm_epsilon" if shape.layer_norm else "attention.layer_norm_rms_epsilon"
    all_keys = {"block_count": len(model.layers), "context_length": 128, "embedding_length": HIDDEN, "feed_forward_length": FFN,
                "attention.head_count": HEADS, "attention.head_count_kv": shape.kv_heads,
                norm: 1e-5 if shape.layer_norm else 1e-6}
    if shape.rotate is not None:
        all_keys |= {"rope.dimension_count": shape.rotated, "rope.freq_base": 10000.0}
    if (e := shape.experts) is not None:
        all_keys |= {"expert_count": e.count, "expert_used_count": e.used, "expert_feed_forward_length": EXPERT_FFN}
        if e.shared:
            all_keys |= {"expert_shared_count": e.shared, "leading_dense_block_count": e.dense, "expert_weights_scale": 1.0,
                         "expert_weights_norm": e.normalise}
        if e.groups:
            all_keys |= {"expert_weights_scale": e.scale, "expert_group_count": e.groups, "expert_group_used_count": e.groups // 2,
                         "expert_gating_func": 2}
    if not shape.causal:
        all_keys |= {"attention.causal": False, "pooling_type": 1}
    golden.make(root, name, architecture, all_keys | (keys or {}), model.w.tensors, model.compute, "numpy, " + reference,
                None if shape.causal else "mean")


def dense(root):
    _make(root, "qwen", "qwen", "from arXiv:2309.16609: biases of queries, keys and values only",
          Shape(kv_heads=HEADS, rotate=rotate_halves, qkv_bias=True, fused=True), {"feed_forward_length": 2 * FFN})
    _make(root, "qwen2vl", "qwen2vl", "from arXiv:2409.12191: text has the same position in all three sections",
          Shape(rotate=rotate_halves, qkv_bias=True), {"rope.dimension_sections": [1, 1, 2, 0]})
    _make(root, "qwen3vl", "qwen3vl", "from arXiv:2511.21631: Qwen 3's layers, sections that interleave",
          Shape(rotate=rotate_halves, head_norms=True), {"rope.dimension_sections": [2, 1, 1, 0], "attention.key_length": DIM,
                                                         "attention.value_length": DIM})
    _make(root, "orion", "orion", "from arXiv:2401.12246: layer norms", Shape(rotate=rotate_halves, layer_norm=True))
    _make(root, "xverse", "xverse", "from the published code of XVERSE-13B", Shape(kv_heads=HEADS))
    _make(root, "exaone", "exaone", "from arXiv:2408.03541", Shape(rotate=rotate_halves))
    _make(root, "refact", "refact", "from the published code of Refact 1.6B: ALiBi, one key head",
          Shape(kv_heads=1, rotate=None))
    _make(root, "codeshell", "codeshell", "from arXiv:2403.15747: GPT-2's network, rotary positions",
          Shape(rotate=rotate_halves, layer_norm=True, qkv_bias=True, biases=True, fused=True, gated=None))


def searched(root):
    _make(root, "deci", "deci", "from arXiv:2411.19146 and the published code of Llama Nemotron: parts of layers left out",
          Shape(left_out=("", "scores", "attention", "network")),
          {"attention.head_count": [HEADS, HEADS, 0, HEADS], "attention.head_count_kv": [2, 0, 0, 2],
           "feed_forward_length": [FFN, FFN, FFN, 0], "attention.key_length": DIM, "attention.value_length": DIM})


def sparse(root):
    _make(root, "deepseek", "deepseek", "from arXiv:2401.06066: shared experts, weights as the softmax gives them",
          Shape(kv_heads=HEADS, experts=Experts(shared=2, dense=1)))
    _make(root, "deepseek2-ocr", "deepseek2-ocr", "from the published code of DeepSeek-OCR, text: as DeepSeek, rotated by halves",
          Shape(rotate=rotate_halves, kv_heads=HEADS, experts=Experts(shared=2, dense=1)))
    _make(root, "bailingmoe", "bailingmoe", "from arXiv:2503.05139", Shape(experts=Experts(normalise=True, shared=1)))
    _make(root, "bailingmoe2", "bailingmoe2", "from the published code of Ling 2: as DeepSeek V3 chooses, half of a head turns",
          Shape(rotate=rotate_halves, rotated=DIM // 2, fused=True, head_norms=True,
                experts=Experts(count=8, normalise=True, shared=1, dense=1, groups=4, scale=2.5)))
    _make(root, "dbrx", "dbrx", "from the published code of DBRX: layer norms without biases, clamped projections",
          Shape(rotate=rotate_halves, layer_norm=True, bare_norms=True, fused=True, clamp=1.5, ffn_norm="attn_output_norm",
                experts=Experts(normalise=True)), {"attention.clamp_kqv": 1.5})
    _make(root, "qwen3vlmoe", "qwen3vlmoe", "from arXiv:2511.21631: Qwen 3's layers with experts",
          Shape(rotate=rotate_halves, head_norms=True, experts=Experts(normalise=True)),
          {"rope.dimension_sections": [2, 1, 1, 0], "attention.key_length": DIM, "attention.value_length": DIM})


def encoders(root):
    _make(root, "llama-embed", "llama-embed", "from arXiv:2511.07025: Llama whose rows see all of a text", Shape(causal=False))
    _make(root, "neo-bert", "neo-bert", "from arXiv:2502.19587", Shape(kv_heads=HEADS, causal=False, fused=True, joined=True,
                                                                     last="enc.output_norm"))


FAMILIES = [dense, searched, sparse, encoders]
