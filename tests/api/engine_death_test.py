"""An engine that dies, aborts or hangs costs no request anything: streams go on with no token lost or doubled."""
import http.client
import os
import pathlib
import shutil
import signal
import tempfile
import threading
import time

from harness import BINARY, ApiTest, Server, together, main, golden

TOKENS = 1500


def body(i, stream=True):
    """Requests of different kinds: greedy, sampled, with penalties, with log-probabilities, constrained."""
    request = {"prompt": "Once upon a time " * (1 + i % 3), "max_tokens": TOKENS, "ignore_eos": True, "stream": stream,
               "seed": 40 + i, "temperature": 0 if i % 4 == 0 else 1.5, "top_k": 0, "min_p": 0, "top_p": 1}
    if i % 4 == 2:
        request |= {"repeat_penalty": 1.2, "presence_penalty": 0.3}
    if i % 4 == 3:
        request |= {"regex": "[a-z ]*", "max_tokens": TOKENS}
    if i == 5:
        request["logprobs"] = 3
    return request


def collect(server, request):
    text, logprobs, finish = "", [], None
    for event in server.stream("/v1/completions", request):
        if event == "[DONE]":
            break
        assert "error" not in event, event
        choice = event["choices"][0]
        assert finish is None
        text += choice["text"]
        finish = choice["finish_reason"]
        if choice["logprobs"]:
            logprobs.append(choice["logprobs"])
    return text, finish, [p["tokens"] for p in logprobs]


class EngineDeath(ApiTest):
    OPTIONS = ("--watchdog", 2)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.expected = [collect(cls.server, body(i)) for i in range(8)]

    def streams_survive(self, harm, pause, times):
        before = self.server.request("GET", "/statistics")[1]["restarts"]
        over = threading.Event()
        harmed = []

        def trouble():
            while not over.is_set() and len(harmed) < times:
                time.sleep(pause)
                if self.server.engine():
                    harmed.append(harm())

        harmer = threading.Thread(target=trouble)
        harmer.start()
        try:
            found = together([lambda i=i: collect(self.server, body(i)) for i in range(8)])
        finally:
            over.set()
            harmer.join()
        self.assertEqual(found, self.expected)
        self.assertGreaterEqual(len(harmed), 1)
        return self.server.request("GET", "/statistics")[1]["restarts"] - before

    def test_killed_again_and_again(self):
        self.assertGreaterEqual(self.streams_survive(self.server.kill_engine, 0.25, 8), 2)

    def test_abort(self):
        self.streams_survive(lambda: self.server.kill_engine(signal.SIGABRT), 0.2, 2)

    def test_hang(self):
        self.assertGreaterEqual(self.streams_survive(lambda: self.server.kill_engine(signal.SIGSTOP), 0.2, 1), 1)

    def test_not_streamed(self):
        def kill():
            time.sleep(0.15)
            self.server.kill_engine()

        killer = threading.Thread(target=kill)
        killer.start()
        answer = self.server.post("/v1/completions", body(1, stream=False))
        killer.join()
        self.assertEqual(answer["choices"][0]["text"], self.expected[1][0])
        self.assertEqual(answer["usage"]["completion_tokens"], TOKENS)

    def test_request_while_it_restarts(self):
        self.server.kill_engine()
        self.assertEqual(collect(self.server, body(0)), self.expected[0])

    def test_the_binary_was_replaced(self):
        with tempfile.TemporaryDirectory() as folder:
            binary = pathlib.Path(folder) / "rocmforge"
            shutil.copy(BINARY, binary)
            server = Server(binary=binary)
            binary.unlink()
            binary.write_text("#!/bin/false\n")
            binary.chmod(0o755)
            server.kill_engine()
            self.assertEqual(len(server.post("/v1/completions", {"prompt": "x", "max_tokens": 3, "ignore_eos": True})["choices"]), 1)
            self.assertEqual(server.stop(), 0)
            server.log.close()

    def test_connections_are_the_servers_alone(self):
        """A restarted engine that held a client's connection too would keep it from ending."""
        client = http.client.HTTPConnection(self.server.host, self.server.port)
        client.request("GET", "/health")
        client.getresponse().read()
        self.server.kill_engine()
        self.assertEqual(collect(self.server, body(0)), self.expected[0])
        files = pathlib.Path(f"/proc/{self.server.engine()}/fd").iterdir()
        sockets = [file for file in files if os.readlink(file).startswith("socket:")]
        self.assertEqual(len(sockets), 1)
        client.close()


class EngineNeverLoads(ApiTest):
    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    def test_a_model_that_cannot_be_loaded(self):
        server = Server(models=[f"broken={golden('malformed/truncated-tensor-data.gguf')}"], ready=False)
        self.assertEqual(server.process.wait(60), 1)
        self.assertIn("truncated-tensor-data.gguf", server.text())
        server.process.stdout.close()
        server.log.close()


if __name__ == "__main__":
    main()
