#!/usr/bin/env python3
"""Writes docs/models.md from the table of families (src/model/archs.cpp) and the golden models that the tests run.

models_doc.py [--check]: with --check nothing is written, and a page that is out of date is an error.
"""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/models.md"

# What people call the models whose files have an architecture's name.
MODELS = {
    "llama": "Llama 1 to 3.3, Mistral 7B, Mixtral, Yi, SmolLM 1 and 2, TinyLlama, Vicuna, InternLM 3 and many more",
    "llama4": "Llama 4 Scout and Maverick, text",
    "mistral3": "Mistral Small 3.x, Ministral 3",
    "qwen": "Qwen 1",
    "qwen2": "Qwen 1.5, 2 and 2.5, QwQ, DeepSeek-R1-Distill-Qwen",
    "qwen2moe": "Qwen 1.5 and 2 MoE",
    "qwen2vl": "Qwen 2 and 2.5 VL, text",
    "qwen3": "Qwen 3, Qwen3 Embedding, Qwen3 Reranker",
    "qwen3moe": "Qwen 3 MoE, Qwen3 Coder",
    "qwen3vl": "Qwen 3 VL, text",
    "qwen3vlmoe": "Qwen 3 VL MoE, text",
    "qwen3next": "Qwen3 Next",
    "qwen35": "Qwen 3.5",
    "qwen35moe": "Qwen 3.5 MoE",
    "gemma": "Gemma 1",
    "gemma2": "Gemma 2",
    "gemma3": "Gemma 3, text",
    "gemma3n": "Gemma 3n, text",
    "gemma4": "Gemma 4, text, dense and with experts",
    "gemma-embedding": "EmbeddingGemma",
    "phi2": "Phi 1, 1.5 and 2",
    "phi3": "Phi 3, 3.5 and 4",
    "phimoe": "Phi 3.5 MoE",
    "glm4": "GLM-4 (0414), GLM-Z1",
    "glm4moe": "GLM-4.5, 4.6 and 4.7",
    "chatglm": "ChatGLM 2 and 3, GLM-4 9B, GLM Edge",
    "deepseek": "DeepSeek MoE 16B",
    "deepseek2": "DeepSeek V2, V2 Lite, V3, V3.1 and R1, Kimi K2, GLM-4.7 Flash",
    "gpt-oss": "gpt-oss 20B and 120B",
    "gpt2": "GPT-2",
    "gptneox": "GPT-NeoX, Pythia, Dolly",
    "falcon": "Falcon 7B, 40B and 180B",
    "falcon-h1": "Falcon H1",
    "starcoder": "StarCoder 1, SantaCoder",
    "starcoder2": "StarCoder 2",
    "codeshell": "CodeShell",
    "refact": "Refact 1.6B",
    "stablelm": "StableLM 1 and 2",
    "bloom": "BLOOM",
    "mpt": "MPT",
    "nemotron": "Nemotron 3 and 4, Minitron",
    "nemotron_h": "Nemotron H and Nano 2",
    "nemotron_h_moe": "Nemotron 3 Nano",
    "deepseek32": "DeepSeek V3.2",
    "glm-dsa": "GLM-5",
    "mistral4": "Mistral Small 4",
    "minicpm3": "MiniCPM 3",
    "plm": "PLM 1.8B",
    "kimi-linear": "Kimi Linear",
    "jais": "Jais 1",
    "openelm": "OpenELM",
    "arctic": "Snowflake Arctic",
    "hunyuan_vl": "HunyuanOCR and HunYuan VL, text",
    "paddleocr": "PaddleOCR VL, text",
    "cogvlm": "CogVLM, text",
    "chameleon": "Chameleon, text",
    "talkie": "Talkie 13B",
    "grovemoe": "GroveMoE",
    "deepseek2-ocr": "DeepSeek-OCR, text",
    "mimo2": "MiMo V2 Flash",
    "step35": "Step 3.5 Flash",
    "cohere2moe": "Command A with experts",
    "plamo": "PLaMo 13B",
    "plamo2": "PLaMo 2",
    "plamo3": "PLaMo 3",
    "nanbeige": "Nanbeige 4.1",
    "laguna": "Laguna",
    "minimax-m3": "MiniMax M3",
    "rwkv6qwen2": "QRWKV 6",
    "arwkv7": "ARWKV 7",
    "apertus": "Apertus",
    "afmoe": "Trinity (AFM with experts)",
    "bitnet": "BitNet b1.58, the reproduced 0.7B to 3B",
    "exaone-moe": "K-EXAONE",
    "grok": "Grok 1 and 2",
    "hy_v3": "Hy 3",
    "jais2": "Jais 2",
    "maincoder": "Maincoder",
    "mellum": "Mellum 2",
    "pangu-embedded": "openPangu Embedded",
    "smallthinker": "SmallThinker",
    "olmo": "OLMo 1",
    "olmo2": "OLMo 2 and 3",
    "olmoe": "OLMoE",
    "granite": "Granite 3",
    "granitemoe": "Granite 3 MoE",
    "granitehybrid": "Granite 4",
    "minicpm": "MiniCPM 1 and 2",
    "command-r": "Command R and R+, Aya",
    "cohere2": "Command R7B, Command A",
    "internlm2": "InternLM 2 and 2.5",
    "exaone": "EXAONE 3 and 3.5",
    "exaone4": "EXAONE 4",
    "smollm3": "SmolLM 3",
    "ernie4_5": "ERNIE 4.5",
    "ernie4_5-moe": "ERNIE 4.5 MoE",
    "hunyuan-dense": "Hunyuan, dense",
    "hunyuan-moe": "Hunyuan A13B",
    "baichuan": "Baichuan 1 and 2",
    "orion": "Orion 14B",
    "xverse": "XVERSE",
    "arcee": "AFM 4.5B",
    "deci": "Llama 3.1 Nemotron 51B and Ultra 253B, Llama 3.3 Nemotron Super 49B, DeciLM",
    "seed_oss": "Seed-OSS 36B",
    "dots1": "dots.llm1",
    "bailingmoe": "Ling 1",
    "bailingmoe2": "Ling 2, Ring 2",
    "minimax-m2": "MiniMax M2",
    "dbrx": "DBRX",
    "mamba": "Mamba, Falcon Mamba",
    "mamba2": "Mamba 2, Codestral Mamba",
    "jamba": "Jamba",
    "lfm2": "LFM2",
    "lfm2moe": "LFM2 MoE",
    "rwkv6": "RWKV 6",
    "rwkv7": "RWKV 7",
    "bert": "BERT, RoBERTa and XLM-R encoders: BGE, E5, GTE, MiniLM, Arctic Embed; their rerankers",
    "nomic-bert": "Nomic Embed 1 and 1.5",
    "nomic-bert-moe": "Nomic Embed 2",
    "jina-bert-v2": "Jina Embeddings 2, Jina Reranker 1",
    "jina-bert-v3": "Jina Embeddings 3",
    "modern-bert": "ModernBERT, GTE ModernBERT, Granite Embedding 2",
    "neo-bert": "NeoBERT",
    "eurobert": "EuroBERT",
    "llama-embed": "Llama Embed Nemotron",
}

HEAD = """# Models

Written by `tools/models_doc.py` from the table of families in `src/model/archs.cpp`; a test compares.

A file runs when its `general.architecture` is one of these. What a model is comes from its metadata and its tensors, never
from its name or its number of layers; an unknown architecture is an error that lists those known. Every tensor type of
GGUF may be used in any of them, mixed as one likes.

The golden models are tiny, with random weights. What they must compute was taken from the published implementation
(`tests/golden/arch/README.md`), or is made by `tools/reference_models` from it or from the published definition in plain
numpy. The tests compare every logit: the whole prompt at once, in pieces, token by token and beside another sequence, at
several page sizes, on every instruction set, and greedy continuations token for token. Architectures without a golden
model of their own run the same steps as another one that has it.

"""


def families():
    """(name, whether it is an encoder) in the order of the table."""
    table = (ROOT / "src/model/archs.cpp").read_text().split("constexpr std::array families{", 1)[1].split("\n};", 1)[0]
    rows = re.findall(r'Family\{(?:\s*\.name = )?"([^"]+)"(.*?)\}', table, re.DOTALL)
    return [(name, re.search(r"record_\w+, false", rest) is not None) for name, rest in rows]


def goldens():
    """Architecture -> names of its golden models, of the complete set and of those kept here."""
    found = {}
    for line in (ROOT / "tests/golden/arch/README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 6 and cells[6] != "types" and not set(cells[1]) <= set("- "):
            found.setdefault(cells[2], set()).add(cells[1])
    for facts in (ROOT / "tests/golden/arch").glob("*/tokens.json"):
        content = json.loads(facts.read_text())
        found.setdefault(content["architecture"], set()).add(facts.parent.name)
    return found


def page():
    golden, parts = goldens(), []
    for title, encoders in (("Models that generate", False), ("Encoders", True)):
        rows = [(name, MODELS[name], ", ".join(sorted(golden.get(name, ())))) for name, encoder in families()
                if encoder == encoders]
        parts.append(f"## {title}\n\n| architecture | models | golden models |\n| --- | --- | --- |\n" +
                     "".join(f"| `{name}` | {models} | {tests or '-'} |\n" for name, models, tests in sorted(rows)))
    return HEAD + "\n".join(parts) + """
Any of them embeds texts with `rocmforge embed`; files made for embedding say how their rows become one vector.
"""


def main():
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page())
    elif PAGE.read_text() != page():
        sys.exit(f"{PAGE.relative_to(ROOT)} is out of date: run tools/models_doc.py")


if __name__ == "__main__":
    main()
