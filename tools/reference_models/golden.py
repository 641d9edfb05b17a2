"""Makes a golden folder (tests/golden/arch/README.md): a tiny model's file and what its definition computes."""
import json
import pathlib

import numpy

import gguf

VOCABULARY = 96
SEQUENCES = (40, 11, 1)  # tokens
PROMPTS, PROMPT, ANSWER = 2, 6, 12


def random(name):
    """The generator of everything random in the golden folder `name`."""
    return numpy.random.default_rng(int.from_bytes(name.encode(), "little"))


def _greedy(logits, prompt):
    """The continuation by argmax, and the smallest gap between the best and the second logit on the way."""
    ids, margin = list(prompt), float("inf")
    for _ in range(ANSWER):
        last = logits(ids)[-1]
        second, best = numpy.sort(last)[-2:]
        margin = min(margin, float(best - second))
        ids.append(int(last.argmax()))
    return ids[len(prompt):], margin


def _pooled(rows, pooling):
    return {"mean": rows.mean(0), "cls": rows[0], "lasttoken": rows[-1]}[pooling]


def make(root, name, architecture, keys, tensors, compute, reference, pooling=None, scores=None,
         avoid=-1, separator=None):
    """Writes root/name.

    keys: those under the architecture's prefix; tensors: name -> array; compute(ids) -> float64 [n, vocabulary] logits
    or, with `pooling`, hidden states [n, hidden]; reference: what computes them, in words; scores(ids): what a classifier
    makes of the text; avoid: a token that texts do not have; separator: ends each of the two texts that all but the shortest
    sequences are then, as BERT's tokenizer makes them.
    """
    folder = pathlib.Path(root) / name
    folder.mkdir(parents=True, exist_ok=True)
    generator = random(name + " tokens")
    head = {"general.architecture": architecture, "general.name": f"golden-{name}", "general.file_type": 0,
            "tokenizer.ggml.model": "no_vocab"}
    if separator is not None:
        head |= {"tokenizer.ggml.model": "bert", "tokenizer.ggml.seperator_token_id": separator}
    gguf.write(folder / "model.gguf", head | {f"{architecture}.{key}": value for key, value in keys.items()}, tensors)

    allowed = [t for t in range(VOCABULARY) if t not in (avoid, separator)]
    texts = [[int(t) for t in generator.choice(allowed, n)] for n in SEQUENCES]
    for ids in texts:
        if separator is not None and len(ids) > 2:
            ids[len(ids) // 3] = ids[-1] = separator
    results = [compute(ids) for ids in texts]
    rows = numpy.concatenate(results)
    spread = float(rows.max() - rows.min())
    file = "hidden.bin" if pooling else "logits.bin"
    rows.astype("<f4").tofile(folder / file)
    exact = 2e-5 * spread
    facts = {
        "name": name, "architecture": architecture, "vocab_size": VOCABULARY, "reference": reference,
        "kind": "embedding" if pooling else "causal-lm", "range": spread,
        "tolerance": {"max_abs": 1e-3 * spread, "exact_max_abs": exact, "greedy": "exact"}, "sequences": []}
    at = 0
    for ids, result in zip(texts, results):
        entry = {"ids": ids, "file": file, "offset_rows": at, "shape": list(result.shape)}
        at += len(ids)
        if pooling:
            pooled = _pooled(result, pooling)
            entry |= {"pooling": pooling, "pooled": pooled.tolist(),
                      "pooled_l2": (pooled / numpy.linalg.norm(pooled)).tolist()}
            if scores:
                entry["scores"] = scores(ids).tolist()
        else:
            entry["argmax"] = result.argmax(-1).tolist()
        facts["sequences"].append(entry)
    if not pooling:
        facts["greedy"] = []
        while len(facts["greedy"]) < PROMPTS:
            prompt = [int(t) for t in generator.integers(0, VOCABULARY, PROMPT)]
            ids, margin = _greedy(compute, prompt)
            if margin > 20 * exact:
                facts["greedy"].append({"prompt": prompt, "ids": ids, "min_margin": margin})
    (folder / "tokens.json").write_text(json.dumps(facts, separators=(",", ":")) + "\n")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name}: {size / 1000:.0f} kB, range {spread:.2f}", flush=True)
