"""quantize, imatrix, split and merge, from file to file."""
import array
import math
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import time
import unittest

from harness import BINARY, CliTest, environment, golden, main

# Of the logits' spread: what quantising all of a tiny random model's matrices may move them by, root mean square.
# Noise would be 1.4; a model of random weights is several times as sensitive as its weights' errors.
TYPES = {"F16": 0.004, "BF16": 0.02, "Q8_0": 0.05, "Q6_K": 0.12, "Q5_K_M": 0.28, "Q5_0": 0.3, "Q5_1": 0.3, "Q4_K_M": 0.4,
         "Q4_K_S": 0.4, "Q4_0": 0.55, "Q4_1": 0.5, "IQ4_NL": 0.55, "IQ4_XS": 0.55, "Q3_K_M": 0.8, "MXFP4": 0.8, "Q2_K": 1.1}


def value(kind, data):
    text = lambda t: struct.pack("<Q", len(t)) + t.encode()
    return text(data) if kind == 8 else struct.pack({4: "<I", 6: "<f"}[kind], data)


def write_gguf(path, metadata, tensors):
    """A GGUF file of f32 tensors: metadata {key: (type, value)}, tensors {name: (shape, array of floats)}."""
    text = lambda t: struct.pack("<Q", len(t)) + t.encode()
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, (kind, data) in metadata.items():
        head += text(key) + struct.pack("<I", kind) + value(kind, data)
    offset = 0
    for name, (shape, data) in tensors.items():
        head += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        head += struct.pack("<IQ", 0, offset)
        offset += -(-4 * len(data) // 32) * 32
    body = b"".join(data.tobytes().ljust(-(-4 * len(data) // 32) * 32, b"\0") for _, data in tensors.values())
    path.write_bytes(head.ljust(-(-len(head) // 32) * 32, b"\0") + body)


class ModelFiles(CliTest):
    def logits(self, model, tokens="200,3,17,45,99,120,7"):
        self.output("logits", "-m", model, "--tokens", tokens, "--out", self.folder / "logits", "--device", "reference")
        values = array.array("f")
        values.frombytes((self.folder / "logits").read_bytes())
        return values

    def tensor(self, model, name):
        self.output("inspect", model, "--tensor", name, "--dump", self.folder / "dump")
        values = array.array("f")
        values.frombytes((self.folder / "dump").read_bytes())
        return values

    def types(self, model):
        return {t["name"]: t["type"] for t in self.json("inspect", model, "--json")["tensors"]}

    def nothing_else(self, *names):
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), sorted(names))


class Quantize(ModelFiles):
    def test_logits_stay_near(self):
        for family in ("llama", "qwen3", "mixtral"):
            model = golden(f"arch/{family}/model.gguf")
            if model is None:
                continue
            exact = self.logits(model)
            mean = sum(exact) / len(exact)
            spread = math.sqrt(sum((x - mean) ** 2 for x in exact) / len(exact))
            for kind, allowed in TYPES.items() if family == "llama" else (("Q8_0", 0.05), ("Q4_K_M", 0.4)):
                with self.subTest(family=family, type=kind):
                    out = self.folder / "out.gguf"
                    line = self.output("quantize", model, out, kind)
                    self.assertRegex(line, r"-> .*bits per weight, [\d.]+ s")
                    near = self.logits(out)
                    away = math.sqrt(sum((x - y) ** 2 for x, y in zip(exact, near)) / len(exact))
                    self.assertLess(away, allowed * spread)
                    self.assertGreater(away, 0)

    def test_metadata_and_order_are_kept(self):
        model = golden("arch/llama/model.gguf")
        out = self.folder / "out.gguf"
        self.output("quantize", model, out, "q4_k_m")
        before, after = (self.json("inspect", m, "--json")["metadata"] for m in (model, out))
        self.assertEqual(after["general.file_type"], 15)
        self.assertEqual(after["general.quantization_version"], 2)
        changed = {"general.file_type", "general.quantization_version"}
        self.assertEqual({k: v for k, v in before.items() if k not in changed},
                         {k: v for k, v in after.items() if k not in changed})
        old, new = model.read_bytes(), out.read_bytes()
        for needles in ([k.encode() for k in before if k not in changed],
                        [t["name"].encode() for t in self.json("inspect", model, "--json")["tensors"]]):
            self.assertEqual(sorted(needles, key=old.index), sorted(needles, key=new.index))
        self.assertEqual({n for n, t in self.types(out).items() if t == "F32"},
                         {n for n in self.types(model) if "norm" in n})

    def test_threads_do_not_matter(self):
        model = golden("arch/llama/model.gguf")
        for threads in (1, 3):
            self.output("quantize", model, self.folder / f"{threads}", "Q4_K_M", "--threads", threads)
        self.assertEqual((self.folder / "1").read_bytes(), (self.folder / "3").read_bytes())

    def test_tensor_types(self):
        model = golden("arch/llama/model.gguf")
        out = self.folder / "out.gguf"
        self.output("quantize", model, out, "Q8_0", "--tensor-type", "*attn_?.weight=Q4_0", "--tensor-type",
                    "blk.1.attn_q.weight=BF16")
        types = self.types(out)
        self.assertEqual(types["blk.0.attn_q.weight"], "Q4_0")
        self.assertEqual(types["blk.1.attn_q.weight"], "BF16")
        self.assertEqual(types["blk.1.ffn_up.weight"], "Q8_0")
        self.assertIn("nowhere", self.failure("quantize", model, out, "Q8_0", "--tensor-type", "nowhere=Q4_0"))

    def test_quantised_and_split_input(self):
        model = golden("arch/llama/model.gguf")
        eight, four, parts = self.folder / "8.gguf", self.folder / "4.gguf", self.folder / "parts"
        self.output("quantize", model, eight, "Q8_0")
        done = self.run_binary("quantize", eight, four, "Q4_0")
        self.assertIn("quantised already", done.stderr.decode())
        self.output("split", model, parts, "--max-tensors", 7)
        first = next(p for p in self.folder.iterdir() if p.name.startswith("parts-00001-of"))
        self.output("quantize", first, self.folder / "8b.gguf", "Q8_0")
        self.assertEqual(eight.read_bytes(), (self.folder / "8b.gguf").read_bytes())

    def test_the_same_type_is_copied(self):
        model = golden("arch/llama/model.gguf")
        one, two = self.folder / "1", self.folder / "2"
        self.output("quantize", model, one, "Q4_K_M")
        self.output("quantize", one, two, "Q4_K_M")
        self.assertEqual(one.read_bytes(), two.read_bytes())

    def test_what_cannot_be_done_is_said(self):
        model = golden("arch/llama/model.gguf")
        out = self.folder / "out.gguf"
        for kind in ("IQ2_XXS", "Q9_Z"):
            line = self.failure("quantize", model, out, kind, code=2)
            self.assertIn(kind, line)
            self.assertIn("Q4_K_M", line)
        self.failure("quantize", model, out, "Q8_0", "--tensor-type", "*=Q9", code=2)
        self.assertIn("no-such-folder", self.failure("quantize", model, self.folder / "no-such-folder/x", "Q8_0"))
        self.assertIn("absent", self.failure("quantize", model, out, "Q8_0", "--imatrix", self.folder / "absent"))
        self.assertIn("general.type", self.failure("quantize", model, out, "Q8_0", "--imatrix", model))
        shutil.copy(model, self.folder / "in.gguf")
        os.link(self.folder / "in.gguf", self.folder / "link.gguf")
        for name in ("in.gguf", "link.gguf"):
            self.assertIn("is read", self.failure("quantize", self.folder / "in.gguf", self.folder / name, "Q8_0"))
        self.assertEqual((self.folder / "in.gguf").read_bytes(), model.read_bytes())
        self.nothing_else("in.gguf", "link.gguf")

    def test_bad_values_name_the_tensor(self):
        for bad, kind in ((math.nan, "Q4_K_M"), (-math.inf, "F16"), (1e6, "F16"), (3e38, "Q4_0"), (1e9, "Q8_0")):
            weights = array.array("f", [random.gauss(0, 1) for _ in range(1024)])
            weights[600] = bad
            path = self.folder / "in.gguf"
            write_gguf(path, {"general.architecture": (8, "llama")}, {"blk.0.ffn_up.weight": ((256, 4), weights)})
            with self.subTest(value=bad, type=kind):
                lines = self.run_binary("quantize", path, self.folder / "out", kind, code=1).stderr.decode()
                self.assertIn("'blk.0.ffn_up.weight', row 2", lines)
                self.nothing_else("in.gguf")

    def test_unknown_families_and_odd_shapes(self):
        rows = lambda n: array.array("f", [random.gauss(0, 1) for _ in range(n)])
        path, out = self.folder / "in.gguf", self.folder / "out.gguf"
        write_gguf(path, {"general.architecture": (8, "nobody-knows"), "x.y": (6, 0.5)},
                   {"blk.0.a.weight": ((40, 3), rows(120)), "blk.0.b.weight": ((96, 2, 3), rows(576)),
                    "blk.0.c.weight": ((256, 2), rows(512)), "blk.0.d": ((256, 2), rows(512)),
                    "blk.0.e.weight": ((7,), rows(7))})
        warnings = self.run_binary("quantize", path, out, "Q4_K_S").stderr.decode()
        self.assertIn("blk.0.a.weight", warnings)
        self.assertEqual(self.types(out), {"blk.0.a.weight": "F16", "blk.0.b.weight": "Q5_0", "blk.0.c.weight": "Q4_K",
                                           "blk.0.d": "F32", "blk.0.e.weight": "F32"})
        for name in ("blk.0.d", "blk.0.e.weight"):
            self.assertEqual(self.tensor(path, name), self.tensor(out, name))

    @unittest.skipIf(os.geteuid() != 0 and not shutil.which("prlimit"), "needs prlimit")
    def test_failing_writes_leave_nothing(self):
        model = golden("arch/llama/model.gguf")
        limited = ["prlimit", "--fsize=20000", BINARY, "quantize", str(model), str(self.folder / "out.gguf"), "Q8_0"]
        done = subprocess.run(limited, capture_output=True, env=environment(), preexec_fn=lambda: signal.signal(
            signal.SIGXFSZ, signal.SIG_IGN))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("out.gguf", done.stderr.decode())
        self.nothing_else()

    def test_interrupt_leaves_nothing(self):
        weights = array.array("f", bytes(4 * 256 * 40000))
        for i in range(0, len(weights), 3):
            weights[i] = (i % 97) - 48.0
        path = self.folder / "in.gguf"
        write_gguf(path, {"general.architecture": (8, "llama")}, {"blk.0.ffn_up.weight": ((256, 40000), weights)})
        for ending in (signal.SIGINT, signal.SIGTERM):
            child = subprocess.Popen([BINARY, "quantize", path, self.folder / "out.gguf", "IQ4_XS", "--threads", "1"],
                                     stderr=subprocess.DEVNULL, env=environment())
            for _ in range(12000):
                if (self.folder / "out.gguf.part").exists():
                    break
                time.sleep(0.005)
            time.sleep(0.05)
            self.assertIn("another process", self.failure("merge", path, self.folder / "out.gguf"))
            child.send_signal(ending)
            self.assertEqual(child.wait(60), 128 + ending)
            self.nothing_else("in.gguf")

    def test_closed_streams_are_not_the_output_file(self):
        model, out = golden("arch/llama/model.gguf"), self.folder / "out.gguf"
        command = [BINARY, "quantize", str(model), str(out), "Q8_0", "--log-level", "info"]
        self.output(*command[1:])
        good = out.read_bytes()
        for closed in ("2>&-", "0<&- 2>&-", "0<&- 1>&- 2>&-"):
            with self.subTest(closed=closed):
                subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *command], env=environment(), stdout=subprocess.DEVNULL)
                self.assertEqual(out.read_bytes(), good)

    def test_what_is_no_file_is_not_written_over(self):
        model = golden("arch/llama/model.gguf")
        place = self.folder / "place"
        os.mkfifo(place)
        text = self.put("text", "Hello " * 600)
        for command in (["quantize", model, place, "Q8_0"], ["merge", model, place],
                        ["imatrix", "-m", model, "--file", text, "-o", place, "--ctx", 32]):
            with self.subTest(command=command[0]):
                self.assertIn("not a regular file", self.failure(*command))
                self.assertTrue(place.is_fifo())
        for command in (["logits", "-m", model, "--tokens", "1", "--out"],
                        ["inspect", model, "--tensor", "token_embd.weight", "--dump"]):
            copy = self.folder / "copy.gguf"
            shutil.copy(model, copy)
            command = [copy if word is model else word for word in command]
            with self.subTest(command=command[0]):
                self.assertIn("is read", self.failure(*command, copy))
                self.assertEqual(copy.read_bytes(), model.read_bytes())


class Imatrix(ModelFiles):
    def measure(self, model, text, *options):
        out = self.folder / "imatrix.gguf"
        path = self.put("text", text)
        line = self.output("imatrix", "-m", model, "--file", path, "-o", out, "--ctx", 32, *options)
        self.assertRegex(line, r"matrices over \d+ chunks of 32 tokens")
        return out

    def entries(self, imatrix):
        names = [t["name"] for t in self.json("inspect", imatrix, "--json")["tensors"] if t["name"].endswith("in_sum2")]
        return {n.removesuffix(".in_sum2"): (self.tensor(imatrix, n),
                                             self.tensor(imatrix, n.replace("in_sum2", "counts"))) for n in names}

    TEXT = "The quick brown fox jumps over the lazy dog, and the dog does not mind. " * 20

    def test_devices_agree(self):
        for family in ("llama", "mixtral", "deepseek-v2-lite"):
            model = golden(f"arch/{family}/model.gguf")
            if model is None:
                continue
            found = [self.entries(self.measure(model, self.TEXT, "--chunks", 2, "--device", device, "--kv", "f32"))
                     for device in ("reference", "cpu")]
            self.assertEqual(found[0].keys(), found[1].keys())
            for name in found[0]:
                (exact, counts), (near, same) = found[0][name], found[1][name]
                with self.subTest(family=family, tensor=name):
                    self.assertEqual(counts, same)
                    self.assertGreater(sum(counts), 0)
                    most = max(exact)
                    for a, b in zip(exact, near):
                        self.assertLess(abs(a - b), 1e-3 * most + 1e-12)

    def test_encoders(self):
        for family in ("bert-mean", "nomic-bert", "qwen3-embed"):
            model = golden(f"arch/{family}/model.gguf")
            if model is None:
                continue
            with self.subTest(family=family):
                found = self.entries(self.measure(model, self.TEXT, "--chunks", 2))
                weights = {t["name"] for t in self.json("inspect", model, "--json")["tensors"]}
                self.assertTrue(found.keys() <= weights)
                self.assertTrue(any("ffn_down" in name for name in found), found.keys())
                for name, (sums, counts) in found.items():
                    self.assertEqual(list(counts), [64.0], name)
                    self.assertGreater(min(sums), 0, name)
        no_words = golden("arch/bert-rank/model.gguf")
        if no_words is not None:
            text = self.put("text", self.TEXT)
            self.assertIn("tokenizer.ggml.model", self.failure("imatrix", "-m", no_words, "--file", text, "--ctx", 32))

    def test_file_and_use(self):
        model = golden("arch/llama/model.gguf")
        imatrix = self.measure(model, self.TEXT, "--chunks", 3)
        facts = self.json("inspect", imatrix, "--json")["metadata"]
        self.assertEqual((facts["general.type"], facts["imatrix.chunk_count"], facts["imatrix.chunk_size"]), ("imatrix", 3, 32))
        self.assertEqual(facts["imatrix.datasets"], [str(self.folder / "text")])
        for name, (sums, counts) in self.entries(imatrix).items():
            self.assertEqual(list(counts), [96.0], name)
        out, plain = self.folder / "out.gguf", self.folder / "plain.gguf"
        log = self.run_binary("quantize", model, out, "Q4_0", "--imatrix", imatrix, "--log-level", "info").stderr.decode()
        self.assertRegex(log, r"blk\.0\.attn_q\.weight: F32 -> Q4_0 by importance, RMSE")
        self.output("quantize", model, plain, "Q4_0")
        written = self.json("inspect", out, "--json")["metadata"]
        self.assertEqual(written["quantize.imatrix.file"], str(imatrix))
        self.assertEqual(written["quantize.imatrix.dataset"], str(self.folder / "text"))
        self.assertEqual(written["quantize.imatrix.chunks_count"], 3)
        self.assertEqual(written["quantize.imatrix.entries_count"], len(self.entries(imatrix)))
        # The error that counts, that of products with what comes in, gets smaller.
        for name in ("blk.0.attn_q.weight", "blk.1.ffn_up.weight", "blk.2.ffn_down.weight"):
            if self.types(out)[name] != self.types(plain)[name]:
                continue
            sums = self.entries(imatrix)[name][0]
            exact, errors = self.tensor(model, name), []
            for file in (out, plain):
                near = self.tensor(file, name)
                errors.append(sum(sums[k % len(sums)] * (a - b) ** 2 for k, (a, b) in enumerate(zip(exact, near))))
            self.assertLess(errors[0], errors[1], name)

    def test_what_cannot_be_done_is_said(self):
        model = golden("arch/llama/model.gguf")
        self.assertIn("fewer than one chunk", self.failure("imatrix", "-m", model, "--file", self.put("short", "Hi"),
                                                           "-o", self.folder / "x"))
        imatrix = self.measure(model, self.TEXT, "--chunks", 1)
        other = self.folder / "other.gguf"
        write_gguf(other, {"general.architecture": (8, "llama")},
                   {"blk.0.attn_q.weight": ((32, 2), array.array("f", [1.0] * 64))})
        self.assertIn("blk.0.attn_q.weight", self.failure("quantize", other, self.folder / "out", "Q8_0", "--imatrix", imatrix))


class Split(ModelFiles):
    def parts(self):
        return sorted(p for p in self.folder.iterdir() if re.search(r"-\d{5}-of-\d{5}\.gguf$", p.name))

    def test_there_and_back(self):
        model = golden("arch/llama/model.gguf")
        for limit in (("--max-tensors", 9), ("--max-size", "100K"), ("--max-size", "1"), ("--max-size", "1G")):
            with self.subTest(limit=limit):
                self.output("split", model, self.folder / "part", *limit)
                parts = self.parts()
                self.assertRegex(parts[0].name, rf"^part-00001-of-{len(parts):05}\.gguf$")
                facts = self.json("inspect", parts[0], "--json")
                self.assertEqual(facts["metadata"]["split.count"], len(parts))
                self.assertEqual(facts["metadata"]["split.tensors.count"], len(self.types(model)))
                self.output("merge", parts[0], self.folder / "whole.gguf")
                self.assertEqual((self.folder / "whole.gguf").read_bytes(), model.read_bytes())
                self.assertEqual(self.logits(parts[0]), self.logits(model))
                for path in self.folder.iterdir():
                    path.unlink()

    def test_what_cannot_be_done_is_said(self):
        model = golden("arch/llama/model.gguf")
        self.failure("split", model, self.folder / "part", code=2)
        for size in ("0", "2Q", "-1", "G", "99999999999999999999T"):
            self.failure("split", model, self.folder / "part", "--max-size", size, code=2)
        self.output("split", model, self.folder / "part", "--max-tensors", 20)
        first, second = self.parts()
        self.assertIn("first part", self.failure("merge", second, self.folder / "x"))
        self.assertIn("is read", self.failure("merge", first, second))
        self.assertIn("is read", self.failure("split", first, self.folder / "part", "--max-tensors", 20))
        second.unlink()
        self.assertIn(second.name, self.failure("merge", first, self.folder / "x"))
        self.nothing_else(first.name)

    def test_failing_in_the_middle_leaves_what_was_there(self):
        path = self.folder / "in.gguf"
        write_gguf(path, {"general.architecture": (8, "llama")},
                   {"small": ((32,), array.array("f", [1.0] * 32)), "large": ((8192,), array.array("f", [2.0] * 8192))})
        self.output("split", path, self.folder / "part", "--max-tensors", 1)
        before = {file: file.read_bytes() for file in self.folder.iterdir()}
        self.assertEqual(len(before), 3)

        def limited():  # the second part is too large
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))

        done = subprocess.run([BINARY, "split", path, self.folder / "part", "--max-tensors", "1"], capture_output=True,
                              env=environment(), preexec_fn=limited)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual({file: file.read_bytes() for file in self.folder.iterdir()}, before)


if __name__ == "__main__":
    main()
