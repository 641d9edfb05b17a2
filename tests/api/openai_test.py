"""OpenAI's API as plain HTTP: shapes, streams, limits, errors."""
import base64
import json
import re
import socket
import struct
import time

from harness import ApiTest, Server, golden, main

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "temperature": 0, "max_tokens": 12,
        "ignore_eos": True}


class Chat(ApiTest):
    def test_whole(self):
        answer = self.server.post("/v1/chat/completions", CHAT)
        self.assertEqual(answer["object"], "chat.completion")
        self.assertEqual(answer["model"], "tiny")
        choice = answer["choices"][0]
        self.assertEqual(choice["message"]["role"], "assistant")
        self.assertEqual(choice["finish_reason"], "length")
        self.assertEqual(answer["usage"]["completion_tokens"], 12)
        self.assertEqual(answer["usage"]["total_tokens"], answer["usage"]["prompt_tokens"] + 12)

    def test_stream_says_the_same(self):
        whole = self.server.post("/v1/chat/completions", CHAT)
        events = list(self.server.stream("/v1/chat/completions",
                                         CHAT | {"stream": True, "stream_options": {"include_usage": True}}))
        self.assertEqual(events[-1], "[DONE]")
        self.assertEqual(events[0]["choices"][0]["delta"], {"role": "assistant", "content": ""})
        self.assertEqual(len({e["id"] for e in events[:-1]}), 1)
        self.assertEqual(events[-2]["choices"], [])
        self.assertEqual(events[-2]["usage"]["completion_tokens"], 12)
        text = "".join(e["choices"][0]["delta"].get("content") or "" for e in events[:-2])
        self.assertEqual(text, whole["choices"][0]["message"]["content"])
        reasons = [e["choices"][0]["finish_reason"] for e in events[:-2]]
        self.assertEqual([r for r in reasons if r], ["length"])
        self.assertEqual(reasons[-1], "length")
        without = list(self.server.stream("/v1/chat/completions", CHAT | {"stream": True}))
        self.assertTrue(all("usage" not in e for e in without[:-1]))

    def test_several_choices(self):
        body = CHAT | {"n": 3, "temperature": 1.5, "seed": 1, "top_k": 0, "top_p": 1, "min_p": 0}
        answer = self.server.post("/v1/chat/completions", body)
        texts = [c["message"]["content"] for c in answer["choices"]]
        self.assertEqual(len(set(texts)), 3)
        self.assertEqual(answer["usage"]["completion_tokens"], 36)
        again = [""] * 3
        for event in self.server.stream("/v1/chat/completions", body | {"stream": True}):
            for choice in event["choices"] if event != "[DONE]" else []:
                again[choice["index"]] += choice["delta"].get("content") or ""
        self.assertEqual(again, texts)

    def test_logprobs(self):
        answer = self.server.post("/v1/chat/completions", CHAT | {"logprobs": True, "top_logprobs": 4})
        entries = answer["choices"][0]["logprobs"]["content"]
        self.assertEqual(len(entries), 12)
        for entry in entries:
            self.assertEqual(len(entry["top_logprobs"]), 4)
            self.assertEqual(entry["top_logprobs"][0]["logprob"], entry["logprob"])  # greedy
            values = [t["logprob"] for t in entry["top_logprobs"]]
            self.assertEqual(values, sorted(values, reverse=True))
            self.assertLessEqual(values[0], 0)
        joined = bytes(b for e in entries for b in e["bytes"]).decode(errors="replace")
        joined = re.sub(r"<\|[a-z_]+\|>", "", joined)  # special tokens are no text
        self.assertEqual(joined.strip("\ufffd"), answer["choices"][0]["message"]["content"].strip("\ufffd"))

    def test_stop(self):
        text = self.server.post("/v1/completions", {"prompt": "abc", "temperature": 0, "max_tokens": 40,
                                                    "ignore_eos": True})["choices"][0]["text"]
        stop = text[5:8]
        answer = self.server.post("/v1/completions", {"prompt": "abc", "temperature": 0, "max_tokens": 40,
                                                      "ignore_eos": True, "stop": [stop, "\x01never"]})
        self.assertEqual(answer["choices"][0]["finish_reason"], "stop")
        self.assertEqual(answer["choices"][0]["text"], text[:text.index(stop)])

    def test_constraints(self):
        schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}},
                  "required": ["n"], "additionalProperties": False}
        answer = self.server.post("/v1/chat/completions", CHAT | {
            "max_tokens": 200, "temperature": 1, "seed": 3,
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}})
        self.assertEqual(answer["choices"][0]["finish_reason"], "stop")
        self.assertIn(json.loads(answer["choices"][0]["message"]["content"])["n"], range(10))
        answer = self.server.post("/v1/completions", {"prompt": "x", "grammar": 'root ::= "yes" | "no"', "seed": 1})
        self.assertIn(answer["choices"][0]["text"], ("yes", "no"))
        self.refused("/v1/chat/completions", CHAT | {"grammar": "root ::= nowhere"}, param="grammar")
        wrong = {"type": "object", "properties": {"a": {"type": "string", "minLength": 10**9}}}
        for path, body, field in (
                ("/v1/chat/completions", CHAT | {"response_format": {"type": "json_object", "schema": wrong}}, "response_format"),
                ("/v1/completions", {"prompt": "x", "json_schema": wrong}, "json_schema"),
                ("/v1/responses", {"input": "x", "text": {"format": {"type": "json_schema", "name": "a", "schema": wrong}}},
                 "text.format")):
            answer = self.refused(path, body, param=field)
            self.assertIn("#/properties/a/minLength", answer["error"]["message"])
        self.refused("/v1/chat/completions", CHAT | {"response_format": {"type": "xml"}}, param="response_format.type")

    def test_progress(self):
        events = list(self.server.stream("/v1/chat/completions", CHAT | {
            "stream": True, "return_progress": True, "messages": [{"role": "user", "content": "word " * 900}]}))
        steps = [e["prompt_progress"] for e in events if isinstance(e, dict) and "prompt_progress" in e]
        self.assertGreaterEqual(len(steps), 2)
        self.assertEqual(steps[-1]["processed"], steps[-1]["total"])

    def test_prefix_is_read_once(self):
        body = CHAT | {"messages": [{"role": "system", "content": "rule " * 300}, {"role": "user", "content": "Hi"}]}
        self.server.post("/v1/chat/completions", body)
        again = self.server.post("/v1/chat/completions", body)
        details = again["usage"]
        self.assertGreater(details["prompt_tokens_details"]["cached_tokens"], details["prompt_tokens"] - 40)


class WrongInput(ApiTest):
    def test_fields(self):
        for field, value in (("temperature", "hot"), ("temperature", -1), ("top_p", 2), ("n", 0), ("n", 1000),
                             ("max_tokens", 0), ("stop", [""]), ("stop", ["x"] * 17), ("seed", 1.5),
                             ("logit_bias", {"x": 1}), ("logit_bias", {"1": "y"}), ("messages", []), ("messages", "hi"),
                             ("stream", "yes"), ("response_format", "json"), ("top_logprobs", 3)):
            with self.subTest(field=field, value=value):
                answer = self.refused("/v1/chat/completions", CHAT | {field: value}, param=field)
                self.assertEqual(answer["error"]["type"], "invalid_request_error")
                self.assertIn(field, answer["error"]["message"])
        self.refused("/v1/chat/completions", CHAT | {"logit_bias": {"99999999": 1}}, param="logit_bias")
        self.refused("/v1/chat/completions", CHAT | {"messages": [{"role": "user"}]}, param="messages[0].content")
        self.refused("/v1/chat/completions", CHAT | {"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:"}}]}]}, param="messages[0].content[0].type")
        self.server.post("/v1/chat/completions", CHAT | {"unheard_of": {"a": [1]}, "user": None})

    def test_bodies(self):
        for body in (b"", b"{", b"[]", b"null", b'{"model": "tiny", "messages": ' + b"[" * 500, b"\xff\xfe",
                     b'{"a":' * 400 + b"1" + b"}" * 400,
                     json.dumps({f"k{i}": 1 for i in range(5000)}).encode()):
            with self.subTest(body=body[:40]):
                self.refused("/v1/chat/completions", body)
        self.refused("/v1/chat/completions", b" " * (9 << 20), status=413)
        self.refused("/v1/models", None, status=431, method="GET", headers={"X-Long": "x" * 40000})

    def test_context(self):
        answer = self.refused("/v1/completions", {"prompt": [65] * 5000}, param="prompt")
        self.assertEqual(answer["error"]["code"], "context_length_exceeded")
        self.assertIn("4096", answer["error"]["message"])
        stream = self.refused("/v1/completions", {"prompt": [65] * 5000, "stream": True})
        self.assertEqual(stream["error"]["code"], "context_length_exceeded")

    def test_paths_and_models(self):
        self.refused("/v1/nothing", None, status=404, method="GET")
        self.refused("/v1/chat/completions", None, status=405, method="GET")
        answer = self.refused("/v1/chat/completions", CHAT | {"model": "gpt-9"}, status=404, param="model")
        self.assertEqual(answer["error"]["code"], "model_not_found")
        self.assertIn("tiny", answer["error"]["message"])
        self.assertEqual(self.server.request("GET", "/v1/models/tiny")[1]["id"], "tiny")

    def test_not_http(self):
        for noise in (b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                      b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET / HTTP/9.9\r\n\r\n"):
            with socket.create_connection((self.server.host, self.server.port), timeout=60) as connection:
                connection.sendall(noise)
                connection.shutdown(socket.SHUT_WR)
                reply = connection.recv(4096)
                self.assertTrue(reply == b"" or reply.startswith(b"HTTP/1.1 400"), reply)


class Embeddings(ApiTest):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--parallel", 4, models=[f"bert={golden('arch/bert-mean/model.gguf') or golden('arch/gemma-embedding/model.gguf')}"])

    def test_floats_and_base64(self):
        floats = self.server.post("/v1/embeddings", {"model": "bert", "input": ["hello world", "hello world", "other"]})
        vectors = [d["embedding"] for d in floats["data"]]
        self.assertEqual(vectors[0], vectors[1])
        self.assertNotEqual(vectors[0], vectors[2])
        self.assertAlmostEqual(sum(x * x for x in vectors[0]), 1, places=4)
        coded = self.server.post("/v1/embeddings", {"model": "bert", "input": "hello world", "encoding_format": "base64"})
        raw = base64.b64decode(coded["data"][0]["embedding"])
        self.assertEqual(list(struct.unpack(f"<{len(raw) // 4}f", raw)), vectors[0])
        self.assertGreater(floats["usage"]["prompt_tokens"], 0)

    def test_no_text_comes_of_it(self):
        self.refused("/v1/completions", {"prompt": "x"})


class Leaving(ApiTest):
    LONG = {"prompt": "x", "max_tokens": 3900, "ignore_eos": True, "temperature": 0, "stream": True}

    def running(self):
        return len(self.server.request("GET", "/status")[1]["requests"])

    def wait_idle(self):
        end = time.monotonic() + 60
        while self.running() or self.server.request("GET", "/statistics")[1]["running"]:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)

    def test_disconnect_cancels(self):
        for stream in (True, False):
            connection = socket.create_connection((self.server.host, self.server.port))
            body = json.dumps(self.LONG | {"stream": stream}).encode()
            connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            end = time.monotonic() + 60
            while not self.running() and time.monotonic() < end:
                time.sleep(0.01)
            self.assertEqual(self.running(), 1)
            connection.close()
            self.wait_idle()

    def test_cancel_by_id(self):
        events = self.server.stream("/v1/completions", self.LONG, headers={"X-Request-Id": "mine-1"})
        next(events)
        self.assertEqual(self.server.request("GET", "/status/mine-1")[1]["state"], "running")
        self.assertTrue(self.server.post("/cancel/mine-1", {})["cancelled"])
        rest = list(events)
        self.assertEqual(rest[-1], "[DONE]")
        self.assertEqual(rest[-2]["choices"][0]["finish_reason"], "cancelled")
        self.assertEqual(self.server.request("GET", "/status/mine-1")[1]["state"], "done")
        self.assertEqual(self.server.request("GET", "/status/nobody")[0], 404)

    def test_many_idle_clients(self):
        idle = [socket.create_connection((self.server.host, self.server.port)) for _ in range(300)]
        self.server.post("/v1/completions", {"prompt": "x", "max_tokens": 2})
        for connection in idle:
            connection.close()


class FullQueue(ApiTest):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--ctx", 50000, "--parallel", 1, "--queue", 1)

    def test_429(self):
        body = {"prompt": "x", "max_tokens": 49000, "ignore_eos": True, "stream": True}
        data = json.dumps(body).encode()
        waiting = []
        for _ in range(2):
            waiting.append(socket.create_connection((self.server.host, self.server.port)))
            waiting[-1].sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        end = time.monotonic() + 60
        while len(self.server.request("GET", "/status")[1]["requests"]) < 2 and time.monotonic() < end:
            time.sleep(0.005)
        status, answer, response = self.server.request("POST", "/v1/completions", body)
        self.assertEqual(status, 429, answer)
        self.assertEqual(answer["error"]["code"], "queue_full")
        self.assertGreaterEqual(int(response.getheader("Retry-After")), 1)
        for connection in waiting:
            connection.close()


if __name__ == "__main__":
    main()
