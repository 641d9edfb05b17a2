"""Tools and reasoning through the real binary: a tiny model gets a chat template, and is held to a text that calls."""
import json
import struct

from harness import CliTest, golden, main

MODEL = golden("arch/llama/model.gguf")
TEMPLATE = ("{% for t in tools or [] %}{{ t | tojson }}{% endfor %}{% for m in messages %}[{{ m.role }}] {{ m.content }}"
            "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.arguments.city }}</tool_call>{% endfor %}{% endfor %}"
            "{% if add_generation_prompt %}[assistant] {% endif %}{# <think> #}")
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]
TEXT = '<think>Hm.</think>\nYes.\n<tool_call>\n{"name": "look", "arguments": {"city": "Rome"}}\n</tool_call>'


def with_template(path, template):
    """The bytes of a GGUF file with a chat template among its metadata."""
    data = path.read_bytes()
    at = 24
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def text():
        nonlocal at
        (size,) = struct.unpack_from("<Q", data, at)
        at += 8 + size
        return data[at - size:at]

    def skip(kind):
        nonlocal at
        if kind == 8:
            text()
        elif kind == 9:
            inner, count = struct.unpack_from("<IQ", data, at)
            at += 12
            for _ in range(count):
                skip(inner)
        else:
            at += sizes[kind]

    tensors, keys = struct.unpack_from("<QQ", data, 8)
    alignment = 32
    for _ in range(keys):
        key = text()
        (kind,) = struct.unpack_from("<I", data, at)
        at += 4
        if key == b"general.alignment":
            (alignment,) = struct.unpack_from("<I", data, at)
        skip(kind)
    for _ in range(tensors):
        text()
        (dimensions,) = struct.unpack_from("<I", data, at)
        at += 4 + 8 * dimensions + 12
    key, value = b"tokenizer.chat_template", template.encode()
    added = struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, len(value)) + value
    head = data[:8] + struct.pack("<QQ", tensors, keys + 1) + added + data[24:at]
    pad = lambda size: -size % alignment
    return head + bytes(pad(len(head))) + data[at + pad(at):]


class Tools(CliTest):
    def setUp(self):
        super().setUp()
        self.model = self.folder / "model.gguf"
        self.model.write_bytes(with_template(MODEL, TEMPLATE))
        self.tools = self.put("tools.json", json.dumps(TOOLS))

    def generate(self, *arguments, **options):
        return self.output("generate", "-m", self.model, "--ctx", 1024, "--chat", "-p", "Weather?", "--choice", TEXT, *arguments,
                           **options)

    def test_message(self):
        message = json.loads(self.generate("--tools", self.tools, "--json"))["message"]
        self.assertEqual((message["role"], message["content"], message["reasoning_content"]), ("assistant", "Yes.", "Hm."))
        (call,) = message["tool_calls"]
        self.assertEqual(call["function"], {"name": "look", "arguments": '{"city": "Rome"}'})
        self.assertEqual((call["type"], len(call["id"])), ("function", 9))

    def test_printed(self):
        self.assertEqual(self.generate("--tools", self.tools), 'Yes.\nlook({"city": "Rome"})\n')
        self.assertEqual(self.generate("--tools", self.tools, "--reasoning", "show"), 'Hm.\n\nYes.\nlook({"city": "Rome"})\n')
        self.assertEqual(self.generate("--reasoning", "hide"), TEXT.split("</think>\n")[1] + "\n")

    def test_chat(self):
        done = self.run_binary("chat", self.model, "--ctx", 1024, "--choice", TEXT, "--tools", self.tools, stdin="Weather?")
        self.assertEqual(done.stdout.decode(), 'Yes.\nlook({"city": "Rome"})\n')

    def test_errors(self):
        bad = self.put("bad.json", "{}")
        self.assertIn("bad.json", self.failure("generate", "-m", self.model, "--chat", "-p", "x", "--tools", bad))
        self.run_binary("generate", "-m", self.model, "-p", "x", "--tools", self.tools, code=2)


if __name__ == "__main__":
    main()
