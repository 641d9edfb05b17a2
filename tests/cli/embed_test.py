"""embed: what the published models give, and errors."""
import json

from harness import CliTest, golden, main


class Embed(CliTest):
    def near(self, got, expected, allowed):
        self.assertEqual(len(got), len(expected))
        self.assertLess(max(abs(a - b) for a, b in zip(got, expected)), allowed)

    def test_recorded(self):
        for name in ("modern-bert", "jina-bert-v2", "qwen3-embedding"):
            folder = golden(f"arch/{name}")
            facts = json.loads((folder / "tokens.json").read_text())
            for sequence in facts["sequences"]:
                command = ["embed", "-m", folder / "model.gguf", "--tokens", ",".join(map(str, sequence["ids"]))]
                unit = self.json(*command, "--json")
                self.assertEqual(list(unit), ["embedding"])
                self.near(unit["embedding"], sequence["pooled_l2"], 1e-5)
                plain = self.output(*command, "--no-normalize").split()
                self.near([float(x) for x in plain], sequence["pooled"], 1e-4)
                rows = self.json(*command, "--pooling", "none", "--json")["embedding"]
                self.assertEqual([len(rows), len(rows[0])], sequence["shape"])

    def test_scores(self):
        folder = golden("arch/bert-rank")
        for sequence in json.loads((folder / "tokens.json").read_text())["sequences"]:
            ids = ",".join(map(str, sequence["ids"]))
            self.near(self.json("embed", "-m", folder / "model.gguf", "--tokens", ids, "--json")["embedding"],
                      sequence["scores"], 1e-4)

    def test_any_model_embeds(self):
        model = golden("arch/llama/model.gguf")
        text = self.json("embed", "-m", model, "the water", "--json")["embedding"]
        stdin = self.json("embed", "-m", model, "--json", stdin="the water")["embedding"]
        self.assertEqual(text, stdin)
        self.assertAlmostEqual(sum(x * x for x in text), 1, 5)
        mean = self.json("embed", "-m", model, "the water", "--json", "--pooling", "mean")["embedding"]
        self.assertNotEqual(text, mean)

    def test_errors(self):
        bert = golden("arch/jina-bert-v2/model.gguf")
        self.assertIn("at most 2", self.failure("embed", "-m", bert, "--tokens", "1,2,3", "--batch-rows", "2"))
        self.assertIn("at most 128", self.failure("embed", "-m", bert, "--tokens", ",".join(["5"] * 129)))
        self.assertIn("classifier", self.failure("embed", "-m", bert, "--tokens", "1,2", "--pooling", "rank"))
        self.assertIn("embeds text", self.failure("generate", "-m", golden("arch/bert-mean/model.gguf"), "--tokens", "1,2"))
        self.run_binary("embed", "-m", bert, "--tokens", "1,2", "--pooling", "max", code=2)
        self.run_binary("embed", "-m", bert, "text", "--tokens", "1", code=2)


if __name__ == "__main__":
    main()
