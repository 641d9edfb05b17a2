"""inspect, models, pull and what happens with bad files, options and settings."""
import array
import json
import os
import resource
import shutil
import subprocess
import unittest

from harness import BINARY, SANITIZED, CliTest, environment, golden, main


class Inspect(CliTest):
    def test_json(self):
        model = golden("arch/llama/model.gguf")
        found = self.json("inspect", model, "--json")
        self.assertEqual(found["version"], 3)
        self.assertEqual(found["bytes"], model.stat().st_size)
        self.assertEqual(found["metadata"]["general.architecture"], "llama")
        tokens = found["metadata"]["tokenizer.ggml.tokens"]
        self.assertEqual(len(tokens), 384)
        embedding = next(t for t in found["tensors"] if t["name"] == "token_embd.weight")
        self.assertEqual(embedding["shape"], [found["metadata"]["llama.embedding_length"], 384])
        self.assertEqual(embedding["type"], "F32")

    def test_text_and_plan(self):
        model = golden("arch/llama/model.gguf")
        text = self.output("inspect", model)
        self.assertIn("general.architecture = \"llama\"", text)
        self.assertIn("token_embd.weight", text)
        plan = self.output("inspect", model, "--plan", "--ctx", 128)
        for word in ("qkv", "attend", "gate_up", "logits", "at 128 positions"):
            self.assertIn(word, plan)

    def test_dump(self):
        # All the tensors of an f32 file, one behind the other, are the end of it.
        model = golden("arch/llama/model.gguf")
        raw = model.read_bytes()
        for tensor in self.json("inspect", model, "--json")["tensors"][:5]:
            self.output("inspect", model, "--tensor", tensor["name"], "--dump", self.folder / "dump")
            dump = (self.folder / "dump").read_bytes()
            elements = 1
            for n in tensor["shape"]:
                elements *= n
            self.assertEqual(len(dump), 4 * elements)
            self.assertIn(dump, raw)
        quantised = golden("malformed/valid-small.gguf")
        name = next(t["name"] for t in self.json("inspect", quantised, "--json")["tensors"] if t["type"] == "Q8_0")
        self.output("inspect", quantised, "--tensor", name, "--dump", self.folder / "dump")
        values = array.array("f")
        values.frombytes((self.folder / "dump").read_bytes())
        self.assertTrue(any(values))
        self.assertIn("absent", self.failure("inspect", model, "--tensor", "absent", "--dump", self.folder / "x"))

    def test_files_without_weights_or_of_unknown_families(self):
        self.assertEqual(self.json("inspect", golden("tokenizer/ggml-vocab-gpt-2.gguf"), "--json")["tensors"], [])
        other = self.folder / "other.gguf"
        other.write_bytes(golden("arch/qwen2/model.gguf").read_bytes().replace(b"qwen2", b"qwenX"))
        self.assertEqual(self.json("inspect", other, "--json")["metadata"]["general.architecture"], "qwenX")
        self.assertIn("qwenX", self.failure("generate", "-m", other, "-p", "x"))


class ModelFiles(CliTest):
    def test_models(self):
        shutil.copy(golden("arch/qwen2/model.gguf"), self.folder / "a.gguf")
        shutil.copy(golden("malformed/wrong-magic.gguf"), self.folder / "b.gguf")
        text = self.output("models", "--dir", self.folder)
        self.assertRegex(text, r"a\.gguf +qwen2 +.*F32 +\d+ +yes")
        self.assertRegex(text, r"b\.gguf +unreadable")
        self.assertIn("smollm2", text)
        listed = self.json("models", "--dir", self.folder, "--json")
        self.assertEqual([m.get("family") for m in listed], ["qwen2", None])
        self.assertIn("nowhere", self.failure("models", "--dir", self.folder / "nowhere"))
        self.assertIn("no models", self.output("models", XDG_CACHE_HOME=str(self.folder)))

    def test_malformed(self):
        index = json.loads(golden("malformed/index.json").read_text())
        self.assertGreater(len(index["cases"]), 25)
        for case in index["cases"]:
            path = golden(f"malformed/{case['file']}")
            if path is None:
                continue
            generate = ["generate", "-m", path, "--tokens", "1,5", "-n", 2, "--temperature", 0]
            with self.subTest(file=case["file"], what=case["what"]):
                start = os.times()
                if case["expect"] == "accept":
                    self.run_binary(*generate)
                elif case["expect"] == "reject":
                    self.assertIn(path.name, self.failure(*generate))
                else:
                    try:
                        self.run_binary(*generate)
                    except AssertionError:
                        self.failure(*generate)
                used = os.times()
                self.assertLess(used.children_user + used.children_system - start.children_user - start.children_system, 5)


class Usage(CliTest):
    def test_wrong_usage_is_exit_2(self):
        model = golden("arch/llama/model.gguf")
        for arguments in ([], ["nonsense"], ["generate"], ["generate", "-m", model], ["generate", "--nonsense"],
                          ["generate", "-m", model, "-p", "a", "--tokens", "1"],
                          ["generate", "-m", model, "-p", "a", "--temperature", "-1"],
                          ["generate", "-m", model, "-p", "a", "--temperature", "warm"],
                          ["generate", "-m", model, "-p", "a", "--temperature", "nan"],
                          ["generate", "-m", model, "-p", "a", "--seed", "99999999999999999999"],
                          ["generate", "-m", model, "-p", "a", "-n", "0"],
                          ["serve", "-m", model, "--check-config", "--max-body", "nan"], ["cancel"],
                          ["generate", "-m", model, "-p", "a", "--kv", "f8"],
                          ["generate", "-m", model, "-p", "a", "--device", "tpu"],
                          ["generate", "-m", model, "-p", "a", "--logit-bias", "17"],
                          ["generate", "-m", model, "--tokens", "1,x"],
                          ["generate", "-m", model, "--tokens", "1", "--chat"],
                          ["inspect", model, "--tensor", "t"], ["detokenize", "-m", model],
                          ["devices", "surplus"], ["--log-level", "loud", "devices"]):
            with self.subTest(arguments=arguments):
                self.failure(*arguments, code=2)

    def test_failures_are_exit_1_with_one_line(self):
        model = golden("arch/llama/model.gguf")
        for arguments, word in ((["-m", "/nowhere.gguf", "-p", "a"], "/nowhere.gguf"),
                                (["-m", model, "--tokens", "1,99999"], "99999"),
                                (["-m", model, "--tokens", ""], "prompt"),
                                (["-m", model, "--tokens", "1,2,3", "--ctx", "3"], "context"),
                                (["-m", golden("tokenizer/ggml-vocab-gpt-2.gguf"), "-p", "a"], "gpt")):
            with self.subTest(arguments=arguments):
                self.assertIn(word, self.failure("generate", *arguments))
        folder, pipe = self.folder / "folder", self.folder / "pipe"
        folder.mkdir()
        os.mkfifo(pipe)
        for path in (folder, pipe):
            for arguments in (["generate", "-p", "a", "-m", path], ["inspect", path], ["merge", path, self.folder / "out"]):
                with self.subTest(command=arguments[0], path=path.name):
                    self.assertIn("not a regular file", self.failure(*arguments))
        self.assertIn("aaa", self.failure("inspect", "a" * 5000))
        self.assertIn("avx9", self.failure("generate", "-m", model, "-p", "a", RF_ISA="avx9"))

    def test_a_file_that_is_cut_while_it_is_read(self):
        path = self.folder / "cut.gguf"
        shutil.copy(golden("arch/llama/model.gguf"), path)
        process = subprocess.Popen([BINARY, "generate", "-m", path, "-p", "a", "--device", "reference", "--ctx", "100000",
                                    "--ignore-eos"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        process.stdout.read(1)
        path.write_bytes(b"")
        _, errors = process.communicate(timeout=60)
        self.assertEqual((process.returncode, "has become shorter" in errors.decode()), (1, True), errors)

    def test_config_files(self):
        for text, word in (("nonsense = 1", "no option 'nonsense'"), ("[serve", "serve"), ("a\x01b = 1", "a\\x01b")):
            path = self.put("config.toml", text)
            line = self.failure("--config", path, "devices", code=2)
            self.assertIn(str(path), line)
            self.assertIn(word, line)

    @unittest.skipIf(SANITIZED, "a sanitizer takes all address space")
    def test_threads_that_cannot_be_started(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
        done = subprocess.run([BINARY, "generate", "-m", golden("arch/llama/model.gguf"), "-p", "a", "--threads", "500"],
                              capture_output=True, text=True, env=environment(), preexec_fn=limit)
        self.assertEqual((done.returncode, "--threads" in done.stderr), (1, True), done.stderr)

    def test_lost_output_is_a_failure(self):
        model = golden("arch/llama/model.gguf")
        for arguments in (["--help"], ["inspect", model, "--json"], ["tokenize", "-m", model, "Hello"], ["models"],
                          ["generate", "-m", model, "-p", "a", "-n", "2", "--ignore-eos"]):
            with self.subTest(arguments=arguments), open("/dev/full", "wb") as full:
                done = subprocess.run([BINARY, *map(str, arguments)], stdout=full, stderr=subprocess.PIPE,
                                      env=environment(XDG_CACHE_HOME=str(self.folder)))
                self.assertEqual(done.returncode, 1)
                self.assertIn(b"stdout", done.stderr)

    def test_precedence_of_settings(self):
        model = golden("arch/llama/model.gguf")
        base = ["generate", "-m", model, "--tokens", "200,3", "--temperature", 0, "--ignore-eos", "--json"]

        def count(*options, **env):
            return len(self.json(*base, *options, **env)["ids"])

        config = self.put("config.toml", "max-tokens = 3\n")
        self.assertEqual(count("--config", config), 3)
        self.assertEqual(count(ROCMFORGE_CONFIG=str(config)), 3)
        self.assertEqual(count("--config", config, ROCMFORGE_MAX_TOKENS="4"), 4)
        self.assertEqual(count("--config", config, "-n", 5, ROCMFORGE_MAX_TOKENS="4"), 5)
        section = self.put("section.toml", "max-tokens = 3\ndepth = 2\n[generate]\nmax-tokens = 6\n[bench]\nprompt-tokens = 2\n")
        self.assertEqual(count("--config", section), 6)
        (self.folder / "rocmforge").mkdir()
        (self.folder / "rocmforge/config.toml").write_text("max-tokens = 2\n")
        self.assertEqual(count(XDG_CONFIG_HOME=str(self.folder)), 2)

    def test_bad_settings(self):
        model = golden("arch/llama/model.gguf")
        generate = ["generate", "-m", model, "-p", "a", "-n", 1]
        self.assertIn("max-tokes", self.failure(*generate, "--config", self.put("c", "max-tokes = 3\n"), code=2))
        self.failure(*generate, "--config", self.put("c", "threads = many\n"), code=2)
        self.failure(*generate, "--config", self.folder / "absent", code=2)
        self.failure(*generate, code=2, ROCMFORGE_CONFIG=str(self.folder / "absent"))
        self.failure(*generate, code=2, ROCMFORGE_THREADS="many")


if __name__ == "__main__":
    main()
