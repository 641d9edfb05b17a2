#!/usr/bin/env python3
"""Renders the snippets of snippets.json with the jinja2 package, set up as Hugging Face transformers does for chat
templates, and writes down what it gives: `expected`, or the type of the `error`.
    record.py            renders all snippets anew (add one as {"source": ...})
    record.py --check    fails where the installed jinja2 gives something else; ends with 77 where it is another version"""
import datetime
import json
import pathlib
import sys

try:
    import jinja2
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError:
    print("no jinja2: nothing to compare with")
    sys.exit(77)

FILE = pathlib.Path(__file__).with_name("snippets.json")
NOW = datetime.datetime(2026, 1, 5, 6, 7, 8)


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_text"), [], [], body).set_lineno(line)

    def _text(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


def rendered(env, source, variables):
    try:
        return {"expected": env.from_string(source).render(**json.loads(json.dumps(variables)))}
    except Exception as error:
        return {"error": type(error).__name__}


def main():
    data = json.loads(FILE.read_text())
    env = environment()
    if "--check" in sys.argv and data["jinja2"] != jinja2.__version__:
        print(f"recorded with jinja2 {data['jinja2']}, not {jinja2.__version__}")
        return 77
    fresh = [{"source": s["source"]} | rendered(env, s["source"], data["variables"]) for s in data["snippets"]]
    if "--check" in sys.argv:
        wrong = [(old, new) for old, new in zip(data["snippets"], fresh) if old != new]
        for old, new in wrong:
            print(f"{old['source']}\n  recorded {old}\n  now      {new}")
        return 1 if wrong else 0
    lines = ",\n".join("  " + json.dumps(s, ensure_ascii=False) for s in fresh)
    variables = json.dumps(data["variables"], ensure_ascii=False)
    FILE.write_text(f'{{"jinja2": "{jinja2.__version__}",\n "variables": {variables},\n "snippets": [\n{lines}\n]}}\n')
    return 0


if __name__ == "__main__":
    sys.exit(main())
