"""Reranking: scores are those of the pairs, the best come first; and what cannot be ranked is refused."""
import json
import math
import pathlib
import shutil
import subprocess
import tempfile

from gguf_file import letter_vocabulary, with_keys
from harness import BINARY, ApiTest, MODEL, Server, golden, main

DOCUMENTS = ["panda", "bear", "an old tree", "bamboo", "q"]
CLASS, SEPARATOR = 2, 3


def letters(text):
    """The ids of a text as the letter vocabulary spells it."""
    ids, start = [], True
    for c in text:
        if c != " ":
            ids.append(5 + ord(c) - ord("a") + (0 if start else 26))
        start = c == " "
    return ids


class Rerank(ApiTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.model = with_keys(golden("arch/bert-pair/model.gguf"), cls.folder / "rank.gguf", letter_vocabulary(96))
        marks = letter_vocabulary(96) | {
            "tokenizer.chat_template.rerank": "query {query} text {document}, {query}", "tokenizer.ggml.add_bos_token": False,
            "tokenizer.ggml.add_sep_token": False}
        template = with_keys(golden("arch/bert-pair/model.gguf"), cls.folder / "template.gguf", marks)
        cls.server = Server("--ctx", 64, "--queue", 1, "--kv", "f32", models=[f"rank={cls.model}", f"template={template}", f"tiny={MODEL}"])

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.folder)

    def score(self, ids):
        done = subprocess.run([BINARY, "embed", "-m", self.model, "--tokens", ",".join(map(str, ids)), "--json"],
                              capture_output=True, text=True, check=True)
        return json.loads(done.stdout)["embedding"][0]

    def test_scores(self):
        for path in ("/v1/rerank", "/rerank"):
            answer = self.server.post(path, {"model": "rank", "query": "what", "documents": DOCUMENTS, "raw_scores": True})
            results = answer["results"]
            self.assertEqual(sorted(r["index"] for r in results), list(range(len(DOCUMENTS))))
            values = [r["relevance_score"] for r in results]
            self.assertEqual(values, sorted(values, reverse=True))
            for result in results:
                pair = [CLASS, *letters("what"), SEPARATOR, *letters(DOCUMENTS[result["index"]]), SEPARATOR]
                self.assertAlmostEqual(result["relevance_score"], self.score(pair), places=4)
                self.assertNotIn("document", result)
        self.assertEqual(answer["model"], "rank")
        self.assertEqual(answer["usage"]["total_tokens"],
                         sum(len(letters(d)) + len(letters("what")) + 3 for d in DOCUMENTS))

    def test_bounded_scores_best_first(self):
        body = {"query": "what", "documents": [{"text": d} for d in DOCUMENTS]}
        raw = self.server.post("/v1/rerank", body | {"raw_scores": True})["results"]
        best = self.server.post("/v1/rerank", body | {"top_n": 2, "return_documents": True})["results"]
        self.assertEqual([r["index"] for r in best], [r["index"] for r in raw[:2]])
        for found, expected in zip(best, raw):
            self.assertAlmostEqual(found["relevance_score"], 1 / (1 + math.exp(-expected["relevance_score"])), places=6)
            self.assertEqual(found["document"], {"text": DOCUMENTS[found["index"]]})

    def test_template_of_the_file(self):
        answer = self.server.post("/v1/rerank", {"model": "template", "query": "a", "documents": ["b"], "raw_scores": True})
        unknown = 1  # the comma
        ids = letters("query a text b") + [unknown] + letters("a")
        self.assertAlmostEqual(answer["results"][0]["relevance_score"], self.score(ids), places=4)

    def test_many_documents_leave_room_for_others(self):
        answer = self.server.post("/v1/rerank", {"query": "a", "documents": ["b"] * 300})
        self.assertEqual([r["index"] for r in answer["results"]], list(range(300)))

    def test_wrong_input(self):
        good = {"query": "a", "documents": ["b"]}
        for change, param in (({"query": None}, "query"), ({"query": 1}, "query"), ({"documents": []}, "documents"),
                              ({"documents": "b"}, "documents"), ({"documents": [1]}, "documents[0]"),
                              ({"documents": ["b", {"title": "c"}]}, "documents[1].text"), ({"top_n": 0}, "top_n"),
                              ({"documents": ["b"] * 1025}, "documents"), ({"return_documents": "yes"}, "return_documents")):
            with self.subTest(change=change):
                self.refused("/v1/rerank", good | change, param=param)
        full = self.refused("/v1/rerank", good | {"documents": ["b", "c" * 90]}, param="documents")
        self.assertEqual(full["error"]["code"], "context_length_exceeded")
        self.assertIn("64", full["error"]["message"])
        self.refused("/v1/rerank", good | {"model": "tiny"}, param="model")
        self.refused("/v1/rerank", good | {"model": "nobody"}, status=404, param="model")


class WithoutClassifier(ApiTest):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(models=[f"bert={golden('arch/bert-mean/model.gguf') or golden('arch/gemma-embedding/model.gguf')}"])

    def test_refused(self):
        answer = self.refused("/v1/rerank", {"query": "a", "documents": ["b"]})
        self.assertIn("classifier", answer["error"]["message"])


if __name__ == "__main__":
    main()
