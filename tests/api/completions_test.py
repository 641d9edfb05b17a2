"""OpenAI's text completions: prompts of all kinds, echo, log-probabilities, text filled in between two others."""
import pathlib
import shutil
import tempfile

from gguf_file import with_keys
from harness import ApiTest, MODEL, Server, main

GREEDY = {"temperature": 0, "ignore_eos": True}


class Completions(ApiTest):
    def test_prompts_of_all_kinds(self):
        options = {"temperature": 0, "max_tokens": 5, "ignore_eos": True}
        ids = self.server.post("/tokenize", {"text": "Once upon", "add_special": True})["tokens"]
        as_text = self.server.post("/v1/completions", {"prompt": "Once upon"} | options)
        as_ids = self.server.post("/v1/completions", {"prompt": ids} | options)
        both = self.server.post("/v1/completions", {"prompt": ["Once upon", "a time"]} | options)
        lists = self.server.post("/v1/completions", {"prompt": [ids]} | options)
        expected = as_text["choices"][0]["text"]
        self.assertEqual(as_ids["choices"][0]["text"], expected)
        self.assertEqual(lists["choices"][0]["text"], expected)
        self.assertEqual([c["index"] for c in both["choices"]], [0, 1])
        self.assertEqual(both["choices"][0]["text"], expected)
        echoed = self.server.post("/v1/completions", {"prompt": "Once upon", "echo": True} | options)
        self.assertEqual(echoed["choices"][0]["text"], "Once upon" + expected)

    def test_logprobs(self):
        answer = self.server.post("/v1/completions", {"prompt": "a", "logprobs": 2, "max_tokens": 4, "temperature": 0,
                                                      "ignore_eos": True})
        logprobs = answer["choices"][0]["logprobs"]
        self.assertEqual({len(v) for v in logprobs.values()}, {4})
        self.assertEqual(logprobs["text_offset"][0], 0)
        self.assertEqual(logprobs["text_offset"][0], 0)
        for tops, token, value in zip(logprobs["top_logprobs"], logprobs["tokens"], logprobs["token_logprobs"]):
            self.assertEqual(tops[token], value)  # the best, or one more

    def test_echo_tells_the_prompts_logprobs(self):
        # What the model thinks of a token is the same whether it stands in the prompt or was generated.
        generated = self.server.post("/v1/completions", {"prompt": [5, 9, 33], "logprobs": 2, "max_tokens": 40} | GREEDY)
        ids = self.server.post("/generate", {"tokens": [5, 9, 33], "max_tokens": 40} | GREEDY)["ids"]
        told = generated["choices"][0]["logprobs"]
        body = {"prompt": [5, 9, 33] + ids, "echo": True, "logprobs": 2} | GREEDY
        for extra in (0, 3):
            answer = self.server.post("/v1/completions", body | {"max_tokens": extra})
            choice = answer["choices"][0]
            logprobs = choice["logprobs"]
            self.assertEqual({len(v) for v in logprobs.values()}, {43 + extra})
            self.assertEqual([logprobs["token_logprobs"][0], logprobs["top_logprobs"][0]], [None, None])
            self.assertEqual(logprobs["tokens"][3:43], told["tokens"])
            self.assertEqual(logprobs["token_logprobs"][3:43], told["token_logprobs"])
            self.assertEqual(logprobs["top_logprobs"][3:43], told["top_logprobs"])
            self.assertEqual(answer["usage"]["completion_tokens"], extra)
            self.assertEqual(choice["finish_reason"], "length")
            self.assertEqual(logprobs["text_offset"], sorted(logprobs["text_offset"]))
            self.assertLessEqual(logprobs["text_offset"][-1], len(choice["text"]))
            self.assertEqual(self.streamed(body | {"max_tokens": extra}), (choice["text"], logprobs))

    def streamed(self, body):
        """The text and the log-probabilities of a stream, joined."""
        text, lists = "", {}
        for event in self.server.stream("/v1/completions", body | {"stream": True}):
            if event == "[DONE]":
                return text, lists
            text += event["choices"][0]["text"]
            for name, values in (event["choices"][0]["logprobs"] or {}).items():
                lists.setdefault(name, []).extend(values)

    def test_echo_of_several_prompts(self):
        answer = self.server.post("/v1/completions", {"prompt": ["H\u00e9llo", "a", [7, 8, 9]], "echo": True, "logprobs": 0,
                                                      "max_tokens": 2} | GREEDY)
        for choice, prompt in zip(answer["choices"], ("H\u00e9llo", "a", None)):
            self.assertTrue(choice["text"].startswith(prompt or ""))
            self.assertEqual(choice["logprobs"]["top_logprobs"][1], {})
            self.assertIsNone(choice["logprobs"]["token_logprobs"][0])
        offsets, tokens = (answer["choices"][0]["logprobs"][k] for k in ("text_offset", "tokens"))
        self.assertEqual(answer["choices"][0]["text"][offsets[1]:offsets[2]], tokens[1])  # counted in characters

    def test_echo_of_one_token(self):
        answer = self.server.post("/v1/completions", {"prompt": [7], "echo": True, "logprobs": 1, "max_tokens": 1} | GREEDY)
        self.assertEqual(len(answer["choices"][0]["logprobs"]["tokens"]), 2)

    def test_wrong_input(self):
        for change, param in (({"max_tokens": 0}, "max_tokens"), ({"max_tokens": 0, "echo": True}, "max_tokens"),
                              ({"logprobs": 21}, "logprobs"), ({"logprobs": True}, "logprobs"), ({"prompt": []}, "prompt"),
                              ({"prompt": None}, "prompt"), ({"prompt": [1, "x"]}, "prompt"), ({"prompt": [[1], 2]}, "prompt"),
                              ({"prompt": [-1]}, "prompt"), ({"prompt": [10 ** 9]}, "prompt"), ({"prompt": ["x"] * 65}, "prompt"),
                              ({"prompt": [[]], "echo": True}, "prompt"), ({"suffix": "y"}, "suffix"), ({"echo": 1}, "echo")):
            with self.subTest(change=change):
                self.refused("/v1/completions", {"prompt": "x"} | change, param=param)


class FillIn(ApiTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        keys = {f"tokenizer.ggml.fim_{name}_token_id": 300 + i for i, name in enumerate(("pre", "suf", "mid"))}
        cls.server = Server(models=[f"tiny={with_keys(MODEL, cls.folder / 'fim.gguf', keys)}"])

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.folder)

    def test_suffix(self):
        options = {"max_tokens": 6} | GREEDY
        ids = lambda text: self.server.post("/tokenize", {"text": text, "parse_special": False})["tokens"]
        begin = self.server.post("/tokenize", {"text": "", "add_special": True})["tokens"]
        prompt = begin + [300] + ids("int main") + [301] + ids("return 0") + [302]
        expected = self.server.post("/v1/completions", {"prompt": prompt} | options)
        found = self.server.post("/v1/completions", {"prompt": "int main", "suffix": "return 0"} | options)
        self.assertEqual(found["choices"][0]["text"], expected["choices"][0]["text"])
        self.assertEqual(found["usage"]["prompt_tokens"], len(prompt))
        self.refused("/v1/completions", {"prompt": ["a", "b"], "suffix": "c"}, param="suffix")
        self.refused("/v1/completions", {"prompt": [1], "suffix": "c"}, param="suffix")


if __name__ == "__main__":
    main()
