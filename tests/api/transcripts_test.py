"""Recorded requests and answers of each API: the same request gets an answer of exactly the recorded shape and values, but for
what differs each time. RF_RECORD=1 writes what is answered into the files."""
import http.client
import json
import os
import pathlib
import shutil
import tempfile

from gguf_file import letter_vocabulary, with_keys
from harness import ApiTest, MODEL, Server, golden, main

FOLDER = pathlib.Path(__file__).resolve().parent / "transcripts"
# Keys whose values differ each time.
VOLATILE = {"id", "call_id", "item_id", "tool_use_id", "created", "created_at", "modified_at", "expires_at", "system_fingerprint",
            "total_duration", "load_duration", "prompt_eval_duration", "eval_duration", "prompt_ms", "prompt_per_second",
            "predicted_ms", "predicted_per_second", "logprob", "token_logprobs", "relevance_score", "embedding", "embeddings",
            "size", "template", "version", "cached_tokens", "cache_n", "prompt_n"}


def masked(value, key=""):
    if isinstance(value, dict):
        return {k: masked(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [masked(v, key) for v in value]
    if key not in VOLATILE or value is None:
        return value
    return "<text>" if isinstance(value, str) else "<number>"


def parsed(kind, raw):
    """An answer's body as JSON: of a stream the list of its events, with their names where they have them."""
    text = raw.decode()
    if kind.startswith("application/x-ndjson"):
        return [json.loads(line) for line in text.splitlines()]
    if not kind.startswith("text/event-stream"):
        return json.loads(text)
    events = []
    assert text.endswith("\n\n")
    for event in text[:-2].split("\n\n"):
        *name, data = event.split("\n")
        assert data.startswith("data: ") and all(n.startswith("event: ") for n in name) and len(name) <= 1, event
        data = data[6:] if data == "data: [DONE]" else json.loads(data[6:])
        events.append({name[0][7:]: data} if name else data)
    return events


class Transcripts(ApiTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        template = golden("chat/templates/Qwen-Qwen3-0.6B.jinja").read_text()
        talks = with_keys(MODEL, cls.folder / "talks.gguf", {
            "tokenizer.chat_template": template, "llama.context_length": 1024})
        ranks = with_keys(golden("arch/bert-rank/model.gguf"), cls.folder / "ranks.gguf", letter_vocabulary(96))
        embeds = with_keys(golden("arch/bert-rank/model.gguf"), cls.folder / "embeds.gguf",
                           letter_vocabulary(96) | {"bert.pooling_type": 1})
        # The device whose results are the same on every machine, to the last bit.
        cls.server = Server("--device", "reference", models=[f"tiny={talks}", f"ranks={ranks}", f"embeds={embeds}"])

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.folder)

    def ask(self, entry):
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=60)
        body = json.dumps(entry["body"]) if "body" in entry else None
        connection.request(entry["method"], entry["path"], body, {"X-Request-Id": "recorded-1"})
        response = connection.getresponse()
        found = {"status": response.status, "type": response.getheader("Content-Type"),
                 "answer": masked(parsed(response.getheader("Content-Type"), response.read()))}
        self.assertEqual(response.getheader("X-Request-Id"), "recorded-1")
        connection.close()
        return found

    def test_all(self):
        files = sorted(FOLDER.glob("*.json"))
        self.assertGreaterEqual(len(files), 6)
        for file in files:
            entries = json.loads(file.read_text())
            for entry in entries:
                with self.subTest(file=file.name, name=entry["name"]):
                    found = self.ask(entry)
                    if os.environ.get("RF_RECORD"):
                        entry.update(found)
                    self.assertEqual({k: entry[k] for k in found}, found)
                    # The order of keys is part of the shape.
                    self.assertEqual(json.dumps(entry["answer"]), json.dumps(found["answer"]))
            if os.environ.get("RF_RECORD"):
                file.write_text(written(entries))


def written(entries):
    """One line for each key of an entry, and for each event of a stream."""
    lines = []
    for entry in entries:
        parts = []
        for key, value in entry.items():
            if isinstance(value, list) and key == "answer":
                events = ",\n      ".join(json.dumps(each, ensure_ascii=False) for each in value)
                parts.append(f'    "answer": [\n      {events}]')
            else:
                parts.append(f"    {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
        lines.append("  {\n" + ",\n".join(parts) + "}")
    return "[\n" + ",\n".join(lines) + "\n]\n"


if __name__ == "__main__":
    main()
