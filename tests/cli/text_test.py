"""tokenize, detokenize and template."""
import json
import subprocess

from harness import BINARY, CliTest, environment, golden, main


class Text(CliTest):
    def setUp(self):
        super().setUp()
        self.vocabulary = golden("tokenizer/ggml-vocab-llama-spm.gguf")
        corpus = json.loads(golden("tokenizer/corpus.json").read_text())
        texts = corpus["strings"] if isinstance(corpus, dict) else corpus
        truth = json.loads(golden("tokenizer/llama-spm.corpus.json").read_text())
        by_id = {t["id"]: t["text"] for t in texts}
        self.cases = [(by_id[c["id"]], c["ids"]) for c in truth["cases"]]

    def test_lines(self):
        lines = self.put("lines", "".join(json.dumps(text) + "\n" for text, _ in self.cases))
        got = self.output("tokenize", "-m", self.vocabulary, "--lines", lines, "--no-bos").splitlines()
        self.assertEqual([json.loads(line) for line in got], [ids for _, ids in self.cases])

    def test_text_file_and_stdin(self):
        text = "Hello, wörld\n"
        expected = self.json("tokenize", "-m", self.vocabulary, text, "--json")
        self.assertEqual(expected[0], 1)  # BOS
        self.assertEqual(self.json("tokenize", "-m", self.vocabulary, "--file", self.put("t", text), "--json"), expected)
        self.assertEqual(self.json("tokenize", "-m", self.vocabulary, "--json", stdin=text), expected)
        plain = self.output("tokenize", "-m", self.vocabulary, text)
        self.assertEqual(plain, ",".join(map(str, expected)) + "\n")
        self.assertEqual(self.json("tokenize", "-m", self.vocabulary, text, "--json", "--no-bos"), expected[1:])

    def test_special_tokens_as_text(self):
        special = self.json("tokenize", "-m", self.vocabulary, "</s>", "--json", "--no-bos")
        self.assertEqual(special[-1], 2)
        plain = self.json("tokenize", "-m", self.vocabulary, "</s>", "--json", "--no-bos", "--no-special")
        self.assertNotIn(2, plain)

    def test_detokenize(self):
        text = "Grüße aus 東京"
        ids = self.json("tokenize", "-m", self.vocabulary, text, "--json", "--no-bos")
        joined = ",".join(map(str, ids))
        self.assertEqual(self.output("detokenize", "-m", self.vocabulary, "--tokens", joined), text + "\n")
        lines = self.put("lines", f"{json.dumps(ids)}\n[]\n[1, {joined}]\n")
        got = [json.loads(line) for line in
               self.output("detokenize", "-m", self.vocabulary, "--lines", lines).splitlines()]
        self.assertEqual(got[:2], [text, ""])
        self.assertTrue(got[2].startswith("<s>"))
        hidden = self.output("detokenize", "-m", self.vocabulary, "--lines", lines, "--no-special").splitlines()
        self.assertEqual(json.loads(hidden[2]), text)
        self.assertIn("vocabulary", self.failure("detokenize", "-m", self.vocabulary, "--tokens", "999999"))
        for wrong in ("[1.5]", "[4294967297]", "[" * 10**6 + "]" * 10**6, '["1"]', "1", "[999999]", "[-1]"):
            with self.subTest(line=wrong):
                lines = self.put("lines", f"[1]\n{wrong}\n")
                self.assertIn("lines, line 2: ", self.failure("detokenize", "-m", self.vocabulary, "--lines", lines))

    def test_lines_are_answered_at_once(self):
        command = [BINARY, "tokenize", "-m", self.vocabulary, "--lines", "-", "--no-bos"]
        with subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            for text, ids in self.cases[:5]:
                process.stdin.write(json.dumps(text).encode() + b"\n")
                process.stdin.flush()
                self.assertEqual(json.loads(process.stdout.readline()), ids)

    def test_bad_lines_name_their_line(self):
        lines = self.put("lines", '"good"\n{"bad"\n')
        self.assertIn("line 2", self.failure("tokenize", "-m", self.vocabulary, "--lines", lines))
        lines = self.put("lines", "[1]\n[\"text\"]\n")
        self.assertIn("line 2", self.failure("detokenize", "-m", self.vocabulary, "--lines", lines))


class Template(CliTest):
    def arguments(self, conversation, case, suite, now):
        arguments = ["--messages", self.put("messages", json.dumps(conversation["messages"])), "--now", now,
                     "--bos", suite["bos_token"], "--eos", suite["eos_token"]]
        if conversation["tools"] is not None:
            arguments += ["--tools", self.put("tools", json.dumps(conversation["tools"]))]
        if conversation["kwargs"]:
            arguments += ["--vars", self.put("vars", json.dumps(conversation["kwargs"]))]
        if not case["add_generation_prompt"]:
            arguments.append("--no-generation-prompt")
        return arguments

    def test_recorded_templates(self):
        """A few templates in full; the chat room's own tests render all of them."""
        recorded = json.loads(golden("chat/conversations.json").read_text())
        conversations = {c["id"]: c for c in recorded["conversations"]}
        rendered = 0
        for name in ("Qwen-Qwen2.5-7B-Instruct", "meta-llama-Llama-3.1-8B-Instruct"):
            suite = json.loads(golden(f"chat/cases/{name}.json").read_text())
            template = golden(f"chat/{suite['template']}") or golden(f"chat/templates/{suite['template']}")
            for case in suite["cases"]:
                with self.subTest(template=name, conversation=case["conversation"]):
                    arguments = self.arguments(conversations[case["conversation"]], case, suite, recorded["strftime_now"])
                    if "expected" in case:
                        self.assertEqual(self.output("template", "--file", template, *arguments), case["expected"])
                        rendered += 1
                    elif case.get("raised_by_template"):
                        self.assertIn(case["error"], self.failure("template", "--file", template, *arguments))
        self.assertGreater(rendered, 50)

    def test_of_a_model(self):
        messages = self.put("m", '[{"role": "user", "content": "Hi"}]')
        model = golden("arch/llama/model.gguf")
        # The model has no template of its own: the default is used, and the log says so.
        done = self.run_binary("template", "-m", model, "--messages", messages)
        self.assertIn("Hi", done.stdout.decode())
        self.assertIn("no chat template", done.stderr.decode())

    def test_errors(self):
        messages = self.put("m", '[{"role": "user", "content": "Hi"}]')
        broken = self.put("t.jinja", "{% if %}")
        self.assertIn("t.jinja", self.failure("template", "--file", broken, "--messages", messages))
        self.assertIn("JSON", self.failure("template", "--file", broken, "--messages", broken))
        deep = self.put("deep.json", "[" * 10**6 + "]" * 10**6)
        self.assertIn("deep.json", self.failure("template", "--file", broken, "--messages", messages, "--tools", deep))
        self.assertIn("deep.json", self.failure("generate", "-m", golden("arch/llama/model.gguf"), "--chat", "-p", "x", "--tools", deep,
                                                  "--log-level", "error"))
        self.failure("template", "--messages", messages, code=2)


if __name__ == "__main__":
    main()
