"""generate, logits, perplexity and bench over the golden models."""
import array
import json
import math
import os

from harness import CliTest, golden, main

FAMILIES = ["llama", "llama-bias", "llama-spm", "llama3-rope", "mistral", "qwen2", "qwen3"]


def csv(ids):
    return ",".join(map(str, ids))


class Models(CliTest):
    def each_family(self):
        found = [f for f in FAMILIES if golden(f"arch/{f}/logits.bin")]
        self.assertIn("llama", found)
        for family in found:
            folder = golden(f"arch/{family}/logits.bin").parent
            with self.subTest(family=family):
                yield folder / "model.gguf", json.loads((folder / "tokens.json").read_text()), folder

    def test_greedy_continuations(self):
        for model, truth, _ in self.each_family():
            for case in truth["greedy"]:
                answer = self.json("generate", "-m", model, "--tokens", csv(case["prompt"]), "-n", len(case["ids"]),
                                   "--temperature", 0, "--ignore-eos", "--json")
                self.assertEqual(answer["ids"], case["ids"])
                self.assertEqual(answer["finish"], "length")
                self.assertIsInstance(answer["text"], str)

    def test_tokens_need_no_vocabulary(self):
        folder = golden("arch/olmo/logits.bin").parent
        model, case = folder / "model.gguf", json.loads((folder / "tokens.json").read_text())["greedy"][0]
        arguments = ["generate", "-m", model, "--tokens", csv(case["prompt"]), "-n", len(case["ids"]), "--temperature", 0]
        answer = self.json(*arguments, "--json")
        self.assertEqual((answer["ids"], answer["text"]), (case["ids"], ""))
        for options in ([], ["--json", "--stop", "x"], ["--json", "--regex", "x"]):
            self.assertIn("tokenizer.ggml.model", self.failure(*arguments, *options))

    def check_logits(self, model, truth, folder, *options, **env):
        out = self.folder / "logits"
        for sequence in truth["sequences"]:
            self.output("logits", "-m", model, "--tokens", csv(sequence["ids"]), "--out", out, *options, **env)
            found, expected = array.array("f"), array.array("f")
            found.frombytes(out.read_bytes())
            expected.frombytes((folder / sequence["file"]).read_bytes())
            columns = sequence["shape"][1]
            first = sequence["offset_rows"] * columns
            self.assertEqual(len(found), sequence["shape"][0] * columns)
            worst = max(abs(a - b) for a, b in zip(found, expected[first:first + len(found)]))
            self.assertLessEqual(worst, truth["tolerance"]["max_abs"])

    def test_logits(self):
        for model, truth, folder in self.each_family():
            self.check_logits(model, truth, folder)

    def test_logits_in_every_configuration(self):
        folder = golden("arch/qwen2/logits.bin").parent
        truth = json.loads((folder / "tokens.json").read_text())
        for options, env in [(["--page", 1], {}), (["--batch-rows", 1], {}), (["--threads", 1], {}),
                             (["--device", "reference"], {}), ([], {"RF_ISA": "scalar"}),
                             (["--log-level", "off"], {"ROCMFORGE_PAGE": "7", "ROCMFORGE_BATCH_ROWS": "5"})]:
            with self.subTest(options=options, env=env):
                self.check_logits(folder / "model.gguf", truth, folder, *options, **env)

    def test_same_seed_same_text(self):
        model = golden("arch/llama/model.gguf")
        text = [self.output("generate", "-m", model, "-p", "Hello", "-n", 12, "--seed", seed) for seed in (7, 7, 8)]
        self.assertEqual(text[0], text[1])
        self.assertNotEqual(text[0], text[2])

    def test_sampling_options_reach_the_sampler(self):
        model = golden("arch/llama/model.gguf")
        common = ["generate", "-m", model, "--tokens", "200,3,5", "-n", 6, "--ignore-eos", "--json"]
        self.assertEqual(self.json(*common, "--logit-bias", "17=1e9", "--temperature", 0)["ids"], [17] * 6)
        greedy = self.json(*common, "--temperature", 0)["ids"]
        self.assertEqual(self.json(*common, "--top-k", 1)["ids"], greedy)
        banned = self.json(*common, "--temperature", 0, "--logit-bias", f"{greedy[0]}=-inf", "--logit-bias",
                           f"{greedy[1]}=-inf")["ids"]
        self.assertFalse(set(greedy[:2]) & set(banned))

    def test_stop_strings(self):
        model = golden("arch/llama/model.gguf")
        common = ["generate", "-m", model, "-p", "Hello", "-n", 24, "--temperature", 0, "--ignore-eos", "--json"]
        text = self.json(*common)["text"]
        middle = next(text[i:i + 3] for i in range(4, len(text)) if "\ufffd" not in text[i:i + 3])
        stopped = self.json(*common, "--stop", "never in there", "--stop", middle)
        self.assertEqual(stopped["text"], text[:text.index(middle)])
        self.assertEqual(stopped["finish"], "stop")

    def test_perplexity_follows_from_the_logits(self):
        model = golden("arch/llama/model.gguf")
        text = self.put("text", "The quick brown fox jumps over the lazy dog, again and again. " * 6)
        ids = self.json("tokenize", "-m", model, "--file", text, "--json")
        size, nats = 32, []
        vocabulary = None
        for begin in range(0, len(ids) - size + 1, size):
            chunk = ids[begin:begin + size]
            bos = self.json("tokenize", "-m", model, "", "--json")
            chunk[:len(bos)] = bos
            self.output("logits", "-m", model, "--tokens", csv(chunk), "--out", self.folder / "l")
            rows = array.array("f")
            rows.frombytes((self.folder / "l").read_bytes())
            vocabulary = len(rows) // size
            for p in range(size // 2, size - 1):
                row = rows[p * vocabulary:(p + 1) * vocabulary]
                nats.append(math.log(sum(math.exp(v) for v in row)) - row[chunk[p + 1]])
        result = self.json("perplexity", "-m", model, "--file", text, "--ctx", size, "--kv", "f32", "--json")
        self.assertEqual(result["scored_tokens"], len(nats))
        mean = sum(nats) / len(nats)
        self.assertAlmostEqual(result["perplexity"] / math.exp(mean), 1, places=4)
        variance = sum(n * n for n in nats) / len(nats) - mean * mean
        self.assertAlmostEqual(result["error"] / (math.exp(mean) * math.sqrt(variance / (len(nats) - 1))), 1, places=3)
        lines = self.output("perplexity", "-m", model, "--file", text, "--ctx", size).splitlines()
        self.assertIn(" ± ", lines[-1])
        self.assertEqual(len(lines), len(ids) // size + 1)

    def test_bench(self):
        model = golden("arch/llama/model.gguf")
        common = ["bench", "-m", model, "-p", 16, "-n", 8, "-r", 3]
        for more in ([], ["-d", 9], ["-b", 3], ["-t", 1]):
            with self.subTest(options=more):
                result = self.json(*common, *more, "--steps", "--json")
                self.assertEqual(len(result["prefill_repetitions"]), 3)
                self.assertEqual(sorted(result["decode_repetitions"])[1], result["decode_tokens_per_second"])
                for key in ("prefill_tokens_per_second", "decode_gb_per_second", "read_bandwidth_gb_per_second",
                            "peak_memory_bytes", "load_seconds"):
                    self.assertGreater(result[key], 0, key)
                for phase in ("prefill_steps", "decode_steps"):
                    self.assertEqual({s["op"] for s in result[phase]},
                                     {"embed", "qkv", "attend", "matmul", "gate_up", "logits"})
                    self.assertAlmostEqual(sum(s["time_fraction"] for s in result[phase]), 1)
                # Weights are read once a step, whatever the number of streams.
                self.assertLess(result["decode_bytes_per_step"], 1.2 * os.path.getsize(model))
                self.assertGreater(result["decode_bytes_per_step"], 0.5 * os.path.getsize(model))
        self.assertIn("steps of decode", self.output(*common, "--steps"))

    def test_devices(self):
        result = self.json("devices", "--json", "-t", 1)["cpu"]
        self.assertEqual(result["self_test"], "passed")
        self.assertEqual(result["threads"], 1)
        for isa in result["isas"]:
            forced = self.json("devices", "--json", "-t", 1, RF_ISA=isa)["cpu"]
            self.assertEqual((forced["isa"], forced["self_test"]), (isa, "passed"))
        self.assertIn("GPU: none", self.output("devices"))


if __name__ == "__main__":
    main()
