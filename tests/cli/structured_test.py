"""Constrained output through the real binary, judged by an independent validator. Also the examples of
docs/structured-output.md."""
import json
import random
import re

from harness import ROOT, CliTest, golden, main

try:
    import jsonschema
except ImportError:
    jsonschema = None

MODEL = golden("arch/llama/model.gguf")


def random_schema(chance, depth=3):
    kind = chance.randrange(11 if depth > 0 else 7)
    if kind == 0:
        return {"type": "string", "maxLength": chance.randrange(2, 30)}
    if kind == 1:
        low = chance.randrange(-2000, 2000)
        return {"type": "integer", "minimum": low, "exclusiveMaximum": low + chance.randrange(1, 5000)}
    if kind == 2:
        low = chance.uniform(-30, 30)
        return {"type": "number", "exclusiveMinimum": round(low, 3), "maximum": round(low + chance.uniform(0.1, 50), 2)}
    if kind == 3:
        return {"enum": [1, "a\"\n", None, {"x": [1.5, True]}, chance.randrange(9)]}
    if kind == 4:
        return {"type": chance.choice(["boolean", "null", ["integer", "null"]])}
    if kind == 5:
        return {"type": "string", "format": chance.choice(["date", "ipv4", "ipv6", "uuid", "date-time", "email", "time"])}
    if kind == 6:
        return {"type": "string", "pattern": chance.choice([r"^[A-Z]{2,5}\d+$", r"^(é|\\|\")+$", "a[bc]d$"])}
    if kind == 7:
        return {"anyOf": [random_schema(chance, depth - 1), random_schema(chance, depth - 1)]}
    if kind == 8:
        least = chance.randrange(3)
        return {"type": "array", "items": random_schema(chance, depth - 1), "minItems": least,
                "maxItems": least + chance.randrange(1, 3)}
    names = [f"p{i}" for i in range(chance.randrange(5))]
    both = [{"properties": {n: random_schema(chance, depth - 1) for n in names}, "required": names[::2]},
            {"type": "object", "properties": {"last": {"$ref": "#/$defs/leaf"}}}]
    return {"allOf": both} if kind == 9 else both[0] | {"type": "object"}


class Structured(CliTest):
    def generate(self, *arguments, **options):
        return self.json("generate", "-m", MODEL, "-p", "x", "--ctx", 2048, "--json", "--log-level", "error", *arguments, **options)

    def test_random_schemas(self):
        if jsonschema is None:
            self.skipTest("no jsonschema: scripts/setup --dev installs it")
        chance = random.Random(1)
        # Letters and quotes are what the end is steered with: a model of random weights seldom ends a text.
        ends = [f"--logit-bias={i}={8}" for i in self.ids('"}],')]
        complete = 0
        for seed in range(40):
            schema = random_schema(chance) | {"$defs": {"leaf": {"type": "integer"}}}
            with self.subTest(schema=schema):
                answer = self.generate("--json-schema", json.dumps(schema), "--seed", seed, "--temperature", 2,
                                       "--top-k", 0, "--top-p", 1, "--min-p", 0, "-n", 1500, *ends)
                if answer["finish"] != "stop":
                    continue
                complete += 1
                jsonschema.Draft202012Validator(schema, format_checker=jsonschema.draft202012_format_checker).validate(
                    json.loads(answer["text"]))
        self.assertGreaterEqual(complete, 36)

    def ids(self, characters):
        return [self.json("tokenize", "-m", MODEL, "--no-bos", "--json", c)[-1] for c in characters]

    def test_choice_regex_and_grammar(self):
        for seed in range(5):
            self.assertIn(self.generate("--choice", "yes", "--choice", "no, never", "--seed", seed)["text"],
                          ("yes", "no, never"))
            self.assertRegex(self.generate("--regex", r"[a-f]{3}-\d{2,4}", "--seed", seed)["text"],
                             re.compile(r"\A[a-f]{3}-\d{2,4}\Z"))
            grammar = self.put("g.gbnf", 'root ::= "<" item ("," item){2} ">"\nitem ::= [xyz] | "\\u00e9"\n')
            self.assertRegex(self.generate("--grammar", grammar, "--seed", seed)["text"],
                             re.compile(r"\A<[xyzé](,[xyzé]){2}>\Z"))

    def test_end_of_text_wins_over_ignore_eos(self):
        self.assertEqual(self.generate("--choice", "a", "--ignore-eos", "-n", 20)["finish"], "stop")

    def test_chat(self):
        done = self.run_binary("chat", MODEL, "--ctx", 512, "--choice", "maybe", stdin="Hello")
        self.assertEqual(done.stdout.decode().strip(), "maybe")

    def test_errors(self):
        for arguments, words in ((("--json-schema", '{"properties": {"a": {"not": {"pattern": "x"}}}}'),
                                  ["--json-schema", "#/properties/a/not/pattern"]),
                                 (("--json-schema", "/nowhere.json"), ["/nowhere.json"]),
                                 (("--grammar", self.put("bad.gbnf", "root ::= [a")), ["bad.gbnf", "line 1"]),
                                 (("--regex", "(?=a)"), ["--regex", "lookahead"])):
            line = self.failure("generate", "-m", MODEL, "-p", "x", *arguments)
            for word in words:
                self.assertIn(word, line)
        self.run_binary("generate", "-m", MODEL, "-p", "x", "--regex", "a", "--choice", "b", code=2)


class Documentation(CliTest):
    def test_examples(self):
        """Every block of the page is run: schemas, grammars and regular expressions, against the tiny model."""
        page = (ROOT / "docs/structured-output.md").read_text()
        blocks = re.findall(r"^```(json|gbnf|regex)\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
        self.assertGreaterEqual(len(blocks), 5)
        for kind, text in blocks:
            with self.subTest(block=text):
                option = {"json": "--json-schema", "gbnf": "--grammar", "regex": "--regex"}[kind]
                value = text.strip() if kind != "gbnf" else self.put("example.gbnf", text)
                self.json("generate", "-m", MODEL, "-p", "x", "-n", 20, "--json", option, value)


if __name__ == "__main__":
    main()
