"""Random schemas of many keywords: whatever is written by chance under their grammars fits them, an independent
validator says. What is refused names its place."""
import datetime
import importlib.metadata
import json
import os
import random
import re
import subprocess
import sys
import unittest

try:
    import jsonschema
except ImportError:
    print("no jsonschema: scripts/setup --dev installs it")
    sys.exit(77)

SAMPLES = os.environ["SCHEMA_SAMPLES"]
# Versions before it do not see what additionalProperties within allOf has evaluated.
KNOWS_UNEVALUATED = tuple(map(int, importlib.metadata.version("jsonschema").split(".")[:2])) >= (4, 20)
WORDS = ["", "a", "red", "x-1", "Zz 9"]
NAMES = ["a", "b", "name", "x-1", "é", "long_name"]
PATTERNS = ["^[a-z]{2,6}$", "^x-", r"\d+$", "^(red|green|blue)$", "^[^0-9]*$", "a.c", r"^\w+@\w+\.com$", "^$|^[A-Z]"]
FORMATS = ["date", "time", "date-time", "ipv4", "ipv6", "uuid", "email", "uri", "duration", "hostname", "unknown"]


class Chance(random.Random):
    def some(self, values, most=3):
        return self.sample(values, self.randint(0, min(most, len(values))))

    def maybe(self, share=0.5):
        return self.random() < share


def scalar(c):
    return c.choice([None, True, False, 0, 1, -3, 7, 2.5] + WORDS)


def string(c):
    s = {"type": "string"}
    if c.maybe(0.4):
        s["pattern"] = c.choice(PATTERNS)
    elif c.maybe(0.3):
        s["format"] = c.choice(FORMATS)
    if c.maybe(0.4):
        s["minLength"] = c.randint(0, 3)
    if c.maybe(0.4):
        s["maxLength"] = c.randint(3, 40)
    return s


def number(c):
    s = {"type": c.choice(["integer", "number"])}
    low = c.choice([c.randint(-500, 500), round(c.uniform(-9, 9), 2)])
    if c.maybe():
        s[c.choice(["minimum", "exclusiveMinimum"])] = low
    if c.maybe():
        s[c.choice(["maximum", "exclusiveMaximum"])] = low + c.choice([c.randint(1, 900), round(c.uniform(1, 50), 2)])
    if c.maybe(0.35):
        s["multipleOf"] = c.choice([1, 2, 3, 5, 7, 10, 100, 25, 0.5, 0.25, 12])
    return s


def array(c, depth):
    s = {"type": "array"}
    if c.maybe(0.2):
        return s | {"uniqueItems": True, "items": {"enum": c.sample(["a", "b", 1, 2, None, True], 4)},
                    "minItems": c.randint(0, 2), "maxItems": c.randint(2, 5)}
    if c.maybe(0.8):
        s["items"] = schema(c, depth - 1)
    if c.maybe(0.25):
        s["prefixItems"] = [schema(c, depth - 1) for _ in range(c.randint(1, 2))]
    elif c.maybe(0.25):
        s["contains"] = scalar_schema(c)
        s.pop("items", None)
        if c.maybe(0.3):
            s["minContains"] = c.randint(0, 1)
    if c.maybe():
        s["minItems"] = c.randint(0, 3)
    if c.maybe():
        s["maxItems"] = c.randint(1, 5)
    return s


def scalar_schema(c):
    return c.choice([string, number, lambda c: {"enum": [scalar(c) for _ in range(3)]}, lambda c: {"const": scalar(c)},
                     lambda c: {"type": c.sample(["null", "boolean", "string", "integer"], 2)}])(c)


def object_(c, depth):
    s = {"type": "object"}
    if c.maybe(0.85):
        s["properties"] = {n: schema(c, depth - 1) for n in c.some(NAMES, 4)}
    names = list(s.get("properties", {}))
    if c.maybe(0.6):
        s["required"] = c.some(names + ["extra"] * (c.random() < 0.1))
    if c.maybe(0.4):
        s["additionalProperties"] = c.choice([True, False, schema(c, 0)])
    if c.maybe(0.2):
        s["patternProperties"] = {c.choice(["^x-", "^[a-c]$", r"\d$"]): schema(c, 0)}
    if c.maybe(0.15):
        s["propertyNames"] = c.choice([{"maxLength": 4}, {"pattern": "^[a-z-]+"}, {"enum": ["a", "b", "q"]}])
    if c.maybe(0.2):
        s["minProperties"] = c.randint(0, 2)
    if c.maybe(0.2):
        s["maxProperties"] = c.randint(1, 3)
    if names and c.maybe(0.15):
        s["dependentRequired"] = {c.choice(names): c.some(names + ["b"])}
    if names and c.maybe(0.15):
        s["if"] = {"properties": {names[0]: {"const": scalar(c)}}, "required": [names[0]]}
        s["then"] = {"required": c.some(names)}
        if c.maybe():
            s["else"] = {"properties": {"b": scalar_schema(c)}}
    return s


def schema(c, depth):
    kind = c.randrange(10 if depth > 0 else 4)
    if kind < 4:
        s = scalar_schema(c)
        if c.maybe(0.1):
            s["not"] = c.choice([{"const": scalar(c)}, {"enum": ["a", "red", 1]}, {"type": "null"}])
        return s
    if kind < 6:
        return object_(c, depth)
    if kind == 6:
        return array(c, depth)
    if kind == 7:
        return {"anyOf": [schema(c, depth - 1) for _ in range(2)]}
    if kind == 8:
        return {"oneOf": [schema(c, depth - 1) for _ in range(2)]}
    return {"allOf": [object_(c, depth - 1), object_(c, depth - 1)]} | ({"unevaluatedProperties": False} if KNOWS_UNEVALUATED and c.maybe(0.3) else {})


def formats():
    checker = jsonschema.FormatChecker()
    host = re.compile(r"(?!-)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*")
    # Values of an enum are written as they are: a format says nothing about them.
    of_text = lambda check: lambda value: not isinstance(value, str) or value in WORDS or bool(check(value))
    for name, (check, raises) in list(checker.checkers.items()):
        checker.checks(name, raises)(of_text(check))
    checker.checks("date-time", ValueError)(of_text(lambda text: datetime.datetime.fromisoformat(text).tzinfo))
    checker.checks("time", ValueError)(of_text(lambda text: datetime.time.fromisoformat(text).tzinfo))
    checker.checks("hostname")(of_text(host.fullmatch))
    return checker


class Schemas(unittest.TestCase):
    def test_what_is_written_fits(self):
        chance = Chance(int(os.environ.get("SCHEMAS_SEED", "1")))
        schemas = []
        for _ in range(int(os.environ.get("SCHEMAS_COUNT", "400"))):
            s = schema(chance, 3)
            if chance.maybe(0.2):
                s = {"type": "object", "properties": {"it": s, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
                     "required": ["it"], "$defs": {"d": scalar_schema(chance)}}
            schemas.append(s)
        lines = "".join(json.dumps(s) + "\n" for s in schemas)
        done = subprocess.run([SAMPLES, "4"], input=lines.encode(), capture_output=True, check=True, timeout=250)
        answers = [json.loads(line) for line in done.stdout.decode().splitlines()]
        self.assertEqual(len(answers), len(schemas))
        checker = formats()
        written = 0
        for s, answer in zip(schemas, answers):
            with self.subTest(schema=json.dumps(s)):
                if "error" in answer:
                    self.assertRegex(answer["error"], r"JSON schema, #|nothing|no text")
                    continue
                for text in answer["texts"]:
                    jsonschema.Draft202012Validator(s, format_checker=checker).validate(json.loads(text))
                written += 1
        self.assertGreater(written, len(schemas) // 2)


if __name__ == "__main__":
    unittest.main(verbosity=1)
