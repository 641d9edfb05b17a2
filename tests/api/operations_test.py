"""Running the server: keys, TLS, sockets, origins, health, metrics, traces, several models, ending."""
import http.client
import http.server
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

from harness import BINARY, MODEL, SANITIZED, ApiTest, Server, golden, main

SHORT = {"prompt": "x", "max_tokens": 3, "ignore_eos": True}


class Plain(ApiTest):
    def test_health_and_metrics(self):
        self.assertEqual(self.server.request("GET", "/health")[1], {"status": "ok"})
        self.assertTrue(self.server.request("GET", "/ready")[1]["ready"])
        self.server.post("/v1/completions", SHORT)
        text = self.server.request("GET", "/metrics")[1]
        for name in ("rocmforge_requests_total", "rocmforge_time_to_first_token_seconds_bucket",
                     "rocmforge_inter_token_seconds_count", "rocmforge_tokens_total", "rocmforge_prompt_tokens_total",
                     "rocmforge_step_seconds_bucket", "rocmforge_cache_pages_used", "rocmforge_requests_waiting"):
            self.assertIn(name, text)
        self.assertIn('route="/v1/completions",status="200"', text)

    def test_traces(self):
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        self.server.request("POST", "/v1/completions", SHORT, {"traceparent": parent, "X-Request-Id": "traced"})
        spans = self.server.request("GET", "/traces")[1]["resourceSpans"][0]["scopeSpans"][0]["spans"]
        mine = [s for s in spans if s["traceId"] == "0af7651916cd43dd8448eb211c80319c"]
        self.assertEqual([s["name"] for s in mine], ["/v1/completions", "prompt", "decode"])
        self.assertEqual(mine[0]["parentSpanId"], "b7ad6b7169203331")
        self.assertLessEqual(int(mine[1]["startTimeUnixNano"]), int(mine[1]["endTimeUnixNano"]))

    def test_request_ids(self):
        for given, kept in (("abc-1", True), ("x" * 200, False), ("a\tb", False)):
            response = self.server.request("GET", "/health", headers={"X-Request-Id": given})[2]
            self.assertEqual(response.getheader("X-Request-Id") == given, kept)

    def test_prompts_stay_out_of_the_log(self):
        self.server.post("/v1/completions", SHORT | {"prompt": "secretsecret"})
        self.assertNotIn("secretsecret", self.server.text())

    def test_foreign_pages(self):
        self.assertEqual(self.server.request("GET", "/v1/models", headers={"Origin": "https://evil.example"})[0], 403)
        self.assertEqual(self.server.request("GET", "/v1/models", headers={
            "Origin": self.server.url, "Host": f"{self.server.host}:{self.server.port}"})[0], 200)

    def test_page(self):
        status, text, response = self.server.request("GET", "/")
        self.assertEqual(status, 200)
        self.assertIn("ROCmForge", text)
        self.assertIn("default-src 'none'", response.getheader("Content-Security-Policy"))

    def test_keep_alive_and_head(self):
        connection = http.client.HTTPConnection(self.server.host, self.server.port)
        for method in ("GET", "HEAD", "GET"):
            connection.request(method, "/health")
            response = connection.getresponse()
            self.assertEqual((response.status, bool(response.read())), (200, method == "GET"))
        connection.close()

    def test_pipelined(self):
        with socket.create_connection((self.server.host, self.server.port)) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
            data = b""
            while data.count(b'"ok"') < 3:
                data += connection.recv(65536)
        self.assertEqual(data.count(b"200 OK"), 3)

    def test_slow_body_and_expect(self):
        with socket.create_connection((self.server.host, self.server.port)) as connection:
            body = json.dumps(SHORT).encode()
            connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                               b"Content-Length: %d\r\n\r\n" % len(body))
            self.assertIn(b"100 Continue", connection.recv(4096))
            for i in range(0, len(body), 10):
                connection.sendall(body[i:i + 10])
            self.assertIn(b"200 OK", connection.recv(65536))


class Guarded(ApiTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.keys = cls.folder / "keys"
        cls.keys.write_text("# people\nalpha name=anna priority=5\nbeta\n")
        cls.server = Server("--api-key-file", cls.keys, "--api-key", "gamma", "--cors-origin", "https://good.example")

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.folder)

    def status(self, key, path="/v1/models", **headers):
        return self.server.request("GET", path, headers={"Authorization": f"Bearer {key}"} | headers)[0]

    def test_keys(self):
        self.assertEqual([self.status(k) for k in ("alpha", "beta", "gamma", "delta", "alph", "")],
                         [200, 200, 200, 401, 401, 401])
        self.assertEqual(self.server.request("GET", "/v1/models", headers={"X-Api-Key": "beta"})[0], 200)
        answer = self.refused("/v1/completions", SHORT, status=401)
        self.assertEqual(answer["error"]["code"], "invalid_api_key")
        self.assertEqual(self.server.request("GET", "/health")[0], 200)
        self.assertEqual(self.server.request("GET", "/metrics")[0], 401)

    def test_reload(self):
        before = self.keys.read_text()
        self.keys.write_text("delta\n")
        self.server.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 60
        while self.status("delta") != 200 and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual([self.status("delta"), self.status("alpha")], [200, 401])
        self.keys.write_text("alpha rank=9\n")
        self.server.process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        self.assertEqual(self.status("delta"), 200)  # the old ones stay
        self.keys.write_text(before)
        self.server.process.send_signal(signal.SIGHUP)
        while self.status("alpha") != 200 and time.monotonic() < end:
            time.sleep(0.02)

    def test_cors(self):
        status, _, response = self.server.request("OPTIONS", "/v1/chat/completions", headers={"Origin": "https://good.example"})
        self.assertEqual(status, 204)
        self.assertEqual(response.getheader("Access-Control-Allow-Origin"), "https://good.example")
        self.assertEqual(self.status("alpha", Origin="https://good.example"), 200)
        self.assertEqual(self.status("alpha", Origin="https://bad.example"), 403)


class Reload(ApiTest):
    """SIGHUP reads the config file again."""
    BEFORE = """log-level = "info"
        log-format = "text"
        [serve]
        model = ["a=MODEL", "b=MODEL"]
        ctx = 64
        queue = 64
        max-choices = 2
        max-body = 8
        api-key = "one"
        cors-origin = "https://one.example"
        """

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.write(cls.BEFORE)
        cls.server = Server("--config", cls.folder / "config.toml", "--drain-timeout", 5, models=[], log=False)

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.folder)

    @classmethod
    def write(cls, text):
        (cls.folder / "config.toml").write_text(text.replace("MODEL", str(MODEL)))

    def reload(self, text):
        """Writes the file, has it read, and returns what was logged meanwhile."""
        self.write(text)
        before = len(self.server.text())
        self.server.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 60
        while not any(w in self.server.text()[before:] for w in ("were read again", "nothing is reloaded")):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)
        return self.server.text()[before:]

    def ask(self, key, body=None, path="/v1/completions", **headers):
        method = "GET" if body is None else "POST"
        return self.server.request(method, path, body, {"Authorization": f"Bearer {key}"} | headers)

    def names(self, key):
        return [m["id"] for m in self.ask(key, path="/v1/models")[1]["data"]]

    def test_settings(self):
        two = SHORT | {"n": 2, "temperature": 1}
        self.assertEqual(self.ask("one", two)[0], 200)
        self.assertEqual(self.names("one"), ["a", "b"])
        self.assertEqual(self.ask("one", SHORT | {"model": "b"})[0], 200)
        pid = self.ask("one", path="/statistics")[1]["models"][0]["process"]
        long = self.server.stream("/v1/completions", SHORT | {"model": "b", "max_tokens": 50, "stream": True},
                                  {"Authorization": "Bearer one"})
        next(long)
        after = self.BEFORE.replace('"one"', '"two"').replace("one.example", "two.example").replace("b=MODEL", "c=MODEL")
        after = after.replace("choices = 2", "choices = 1").replace("max-body = 8", "max-body = 0.01")
        log = self.reload(after.replace("ctx = 64", "ctx = 32").replace('"text"', '"json"'))
        self.assertIn("b: is served no longer", log)
        self.assertEqual(log.count("--ctx: what changed counts from the next start on"), 1)
        self.assertEqual(json.loads(log.splitlines()[-1])["level"], "info")
        self.assertEqual(list(long)[-1], "[DONE]")  # what is under way ends as it began
        self.assertEqual([self.ask(k, SHORT)[0] for k in ("one", "two")], [401, 200])
        self.assertEqual(self.names("two"), ["a", "c"])
        self.assertEqual(self.ask("two", SHORT | {"model": "c"})[0], 200)
        self.assertEqual(self.ask("two", SHORT | {"model": "b"})[0], 404)
        self.assertEqual(self.ask("two", two)[1]["error"]["param"], "n")
        self.assertEqual(self.ask("two", SHORT | {"prompt": "x" * 20000})[0], 413)
        self.assertEqual([self.ask("two", path="/v1/models", Origin=f"https://{o}.example")[0] for o in ("one", "two")],
                         [403, 200])
        self.assertEqual(self.ask("two", path="/statistics")[1]["models"][0]["process"], pid)  # its engine stayed
        # An engine that is started again has the options that it had, whatever the file says by now.
        self.write("[serve]\nnonsense = 1\n")
        os.kill(pid, signal.SIGKILL)
        status, answer, _ = self.ask("two", SHORT | {"max_tokens": 40})
        self.assertEqual((status, answer["usage"]["completion_tokens"]), (200, 40))
        # A file that is wrong changes nothing.
        for wrong in ("[serve]\nnonsense = 1\n", after.replace("queue = 64", "queue = -5"), after.replace("c=MODEL", "a=MODEL"),
                      after.replace("c=MODEL", "c=/nowhere.gguf"), after + 'api-key-file = "/nowhere"\n'):
            self.assertIn("nothing is reloaded", self.reload(wrong))
            self.assertEqual(self.names("two"), ["a", "c"])
        pid = self.ask("two", path="/statistics")[1]["models"][0]["process"]
        self.assertNotIn("api-key", pathlib.Path(f"/proc/{pid}/cmdline").read_text())
        self.write(self.BEFORE.replace('"info"', '"error"'))
        self.server.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 60
        while self.ask("one", path="/v1/models")[0] != 200:
            self.assertLess(time.monotonic(), end)
        quiet = len(self.server.text())
        self.assertEqual(self.ask("one", SHORT | {"model": "b"})[0], 200)  # one that is served again
        self.assertEqual(self.server.text()[quiet:], "")


class Ways(ApiTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def end(self, server, code=0):
        self.assertEqual(server.stop(), code, server.text())
        server.log.close()

    def test_unix_socket(self):
        path = self.folder / "s"
        server = Server("--unix-socket", path, ready=False)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b"200 OK", connection.recv(4096))
        done = subprocess.run([BINARY, "serve", "-m", MODEL, "--unix-socket", path], capture_output=True, text=True)
        self.assertEqual((done.returncode, "in use" in done.stderr), (1, True), done.stderr)
        self.assertTrue(path.is_socket())
        server.process.kill()
        server.process.wait()
        self.assertTrue(path.is_socket())  # what a server that was killed has left is in nobody's way
        server.process.stdout.close()
        server.log.close()
        server = Server("--unix-socket", path, ready=False)
        self.end(server)
        self.assertFalse(path.exists())

    def test_tls(self):
        certificate, key = self.folder / "cert.pem", self.folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-keyout", key, "-out", certificate], check=True, capture_output=True)
        server = Server("--tls-cert", certificate, "--tls-key", key, ready=False)
        context = ssl.create_default_context(cafile=str(certificate))
        context.check_hostname = False
        end = time.monotonic() + 60
        while True:
            connection = http.client.HTTPSConnection(server.host, server.port, context=context)
            connection.request("GET", "/health")
            status = connection.getresponse().status
            connection.close()
            if status == 200:
                break
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)
        connection = http.client.HTTPSConnection(server.host, server.port, context=context)
        connection.request("POST", "/v1/completions", json.dumps(SHORT | {"stream": True}))
        self.assertIn(b"[DONE]", connection.getresponse().read())
        connection.close()
        self.end(server)

    def test_check_config(self):
        good = [BINARY, "serve", "--check-config", "-m", MODEL]
        self.assertEqual(subprocess.run(good, capture_output=True).returncode, 0)
        for wrong in (["--api-key-file", "/nowhere"], ["--tls-cert", "/nowhere"], ["-m", "/nowhere.gguf"],
                      ["--tls-cert", MODEL, "--tls-key", MODEL], ["--api-key", ""], ["--otlp-endpoint", "collector:4318"],
                      ["--cache-dir", MODEL], ["--cache-dir", f"{MODEL}/cache"]):
            done = subprocess.run(good + wrong, capture_output=True, text=True)
            self.assertEqual(done.returncode, 1, wrong)
            self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_nobody_reads_the_log(self):
        reads, writes = os.pipe()
        process = subprocess.Popen([BINARY, "serve", "-m", MODEL, "--port", "0", "--log-level", "info"],
                                   stdout=subprocess.PIPE, stderr=writes)
        os.close(writes)
        port = int(process.stdout.readline().decode().rsplit(":", 1)[1])
        process.stdout.close()
        os.close(reads)
        for _ in range(2):
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("POST", "/v1/completions", json.dumps(SHORT))
            self.assertEqual(connection.getresponse().status, 200)
            connection.close()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 0)

    def test_port_in_use(self):
        server = Server()
        done = subprocess.run([BINARY, "serve", "-m", MODEL, "--port", str(server.port)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn(str(server.port), done.stderr)
        self.end(server)

    def test_term_lets_requests_finish(self):
        server = Server("--ctx", 4096)
        events = server.stream("/v1/completions", {"prompt": "x", "max_tokens": 300, "ignore_eos": True, "stream": True})
        next(events)
        server.process.send_signal(signal.SIGTERM)
        rest = list(events)
        self.assertEqual(rest[-1], "[DONE]")
        self.assertEqual(rest[-2]["choices"][0]["finish_reason"], "length")
        self.assertEqual(server.process.wait(60), 0)
        server.process.stdout.close()
        server.log.close()

    def test_term_has_a_limit(self):
        server = Server("--ctx", 50000, "--drain-timeout", 1)
        events = server.stream("/v1/completions", {"prompt": "x", "max_tokens": 49000, "ignore_eos": True, "stream": True})
        next(events)
        server.process.send_signal(signal.SIGTERM)
        list(events)
        self.assertEqual(server.process.wait(60), 0)
        server.process.stdout.close()
        server.log.close()

    def test_engine_goes_with_the_server(self):
        server = Server()
        pid = server.engine()
        server.process.kill()
        server.process.wait()
        end = time.monotonic() + 60
        while os.path.exists(f"/proc/{pid}") and "Z" not in pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2]:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)
        server.process.stdout.close()
        server.log.close()

    def test_broken_files_in_a_folder(self):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        shutil.copy(MODEL, folder / "c.gguf")
        whole = MODEL.read_bytes()
        for name, data in (("a", whole[:len(whole) // 2]), ("b", b"no model at all"), ("d", b"")):
            (folder / f"{name}.gguf").write_bytes(data)
        server = Server("--ctx", 64, "--models-dir", folder, models=[])
        self.assertEqual(server.post("/v1/completions", SHORT)["model"], "c")
        self.assertEqual(server.request("GET", "/ready")[1]["ready"], True)
        self.assertEqual([m["id"] for m in server.request("GET", "/v1/models")[1]["data"]], list("abcd"))
        for name in "abd":
            self.assertIn(f"{folder}/{name}.gguf", server.text() if name < "c" else f"{folder}/d.gguf")
            status, answer, _ = server.request("POST", "/v1/completions", SHORT | {"model": name})
            self.assertEqual((status, f"{folder}/{name}.gguf: " in answer["error"]["message"]), (503, True), answer)
        self.assertEqual(server.request("GET", "/health")[0], 200)
        shutil.copy(MODEL, folder / "a.gguf")  # one that is mended serves
        self.assertEqual(server.post("/v1/completions", SHORT | {"model": "a"})["model"], "a")
        self.end(server)
        for wrong in (["-m", folder / "b.gguf"], ["-m", f"x={folder}/b.gguf", "-m", MODEL]):  # what was asked for by name
            done = subprocess.run([BINARY, "serve", "--port", "0", *wrong], capture_output=True, text=True)
            self.assertEqual((done.returncode, f"{folder}/b.gguf" in done.stderr), (1, True), done.stderr)
        for name in ("x", "y"):  # of one name
            (folder / name).mkdir()
            shutil.copy(MODEL, folder / name / "e.gguf")
        server = Server("--ctx", 64, "--models-dir", folder, models=[])
        self.assertEqual([m["id"] for m in server.request("GET", "/v1/models")[1]["data"]], [*"abcd", "x/e", "y/e"])
        self.assertEqual(server.post("/v1/completions", SHORT | {"model": "y/e"})["model"], "y/e")
        self.end(server)
        shutil.rmtree(folder / "x")
        shutil.rmtree(folder / "y")
        (folder / "a.gguf").write_bytes(b"")
        (folder / "c.gguf").unlink()
        done = subprocess.run([BINARY, "serve", "--port", "0", "--models-dir", folder], capture_output=True, text=True)
        self.assertEqual((done.returncode, f"{folder}/d.gguf" in done.stderr), (1, True), done.stderr)

    def test_a_model_file_is_written_anew(self):
        path, whole = self.folder / "anew.gguf", MODEL.read_bytes()
        path.write_bytes(whole)
        server = Server("--ctx", 64, models=[f"tiny={path}"])
        before = server.post("/v1/completions", SHORT | {"temperature": 0})["choices"][0]["text"]
        path.write_bytes(b"")  # as at the beginning of a copy over it
        self.assertEqual(server.post("/tokenize", {"text": "Hello"})["count"], 4)
        self.assertIn("template", server.post("/api/show", {"model": "tiny"}))
        self.assertEqual(server.request("GET", "/health")[0], 200)
        server.kill_engine()
        asked = threading.Thread(target=lambda: server.request("POST", "/v1/completions", SHORT))
        asked.start()
        path.write_bytes(whole)
        asked.join()
        self.assertEqual(server.post("/v1/completions", SHORT | {"temperature": 0})["choices"][0]["text"], before)
        self.end(server)

    @unittest.skipIf(SANITIZED, "a sanitizer takes all address space")
    def test_little_memory(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (250 << 20, 250 << 20))
        server = Server("--ctx", 64, "--host-cache", 0, preexec_fn=limit)
        for _ in range(3):  # also after what the machine reads was to be measured
            self.assertEqual(len(server.post("/v1/completions", SHORT)["choices"]), 1)
            time.sleep(0.3)
        self.end(server)

    @unittest.skipIf(SANITIZED, "a sanitizer looks at memory through descriptors")
    def test_no_descriptor_is_left(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
        server = Server("--ctx", 50000, preexec_fn=limit)
        pid = server.engine()
        events = server.stream("/v1/completions", SHORT | {"max_tokens": 10000, "stream": True, "stream_options": {
            "include_usage": True}})
        next(events)
        crowd = [socket.create_connection((server.host, server.port)) for _ in range(40)]
        end = time.monotonic() + 60
        while len(os.listdir(f"/proc/{server.process.pid}/fd")) < 30 and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        while "Too many open files" not in server.text() and time.monotonic() < end:
            time.sleep(0.01)
        for connection in crowd:
            connection.close()
        rest = list(events)
        self.assertEqual((rest[-1], rest[-2].get("usage", {}).get("completion_tokens")), ("[DONE]", 10000), rest[-2:])
        self.assertIn("Too many open files", server.text())
        self.end(server)

    def test_several_models(self):
        server = Server("--ctx", 64, "--keep-alive", 1, models=[f"a={MODEL}", f"b={golden('arch/qwen2/model.gguf')}"])
        answers = {name: server.post("/v1/completions", SHORT | {"model": name, "temperature": 0})["choices"][0]["text"]
                   for name in ("a", "b")}
        self.assertNotEqual(answers["a"], answers["b"])
        end = time.monotonic() + 60
        while {m["state"] for m in server.request("GET", "/statistics")[1]["models"]} != {"stopped"}:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)
        self.assertEqual(server.post("/v1/completions", SHORT | {"model": "b", "temperature": 0})["choices"][0]["text"],
                         answers["b"])
        self.end(server)

    def test_keep_alive_of_a_request(self):
        server = Server("--ctx", 64)
        state = lambda: server.request("GET", "/statistics")[1]["models"][0]["state"]
        for wrong in ("nan", "inf", "5x", "m", ""):
            self.assertEqual(server.request("POST", "/api/generate", {"model": "tiny", "keep_alive": wrong})[0], 400, wrong)
        answer = server.post("/api/generate", {"model": "tiny", "keep_alive": 0})
        self.assertEqual(json.loads(answer)["done_reason"], "unload")
        end = time.monotonic() + 60
        while state() != "stopped":
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)
        server.post("/v1/completions", SHORT)  # which wishes nothing: the server's own time holds again
        time.sleep(2.5)
        self.assertEqual(state(), "ready")
        self.end(server)

    def test_memory_limit(self):
        for host_cache, states in ((0, ["ready", "ready"]), (7, ["stopped", "ready"])):  # MiB of 8, which count
            server = Server("--ctx", 64, "--memory-limit", 8 / 1024, "--host-cache", host_cache,
                            models=[f"a={MODEL}", f"b={golden('arch/qwen2/model.gguf')}"])
            server.post("/v1/completions", SHORT | {"model": "b"})
            self.assertEqual([m["state"] for m in server.request("GET", "/statistics")[1]["models"]], states)
            self.end(server)

    def test_otlp_export(self):
        bodies = []

        class Collector(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                bodies.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        collector = http.server.HTTPServer(("127.0.0.1", 0), Collector)
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        server = Server("--otlp-endpoint", f"http://127.0.0.1:{collector.server_port}")
        server.post("/v1/completions", SHORT)
        end = time.monotonic() + 60
        while not bodies and time.monotonic() < end:
            time.sleep(0.05)
        self.end(server)
        collector.shutdown()
        collector.server_close()
        self.assertEqual(bodies[0][0], "/v1/traces")
        self.assertEqual(bodies[0][1]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"], "/v1/completions")

    def test_status_and_cancel_commands(self):
        server = Server("--ctx", 50000)
        events = server.stream("/v1/completions", {"prompt": "x", "max_tokens": 49000, "ignore_eos": True, "stream": True},
                               headers={"X-Request-Id": "long-1"})
        next(events)
        host = ["--host", f"{server.host}:{server.port}"]
        run = lambda *words: subprocess.run([BINARY, *words, *host], capture_output=True, text=True)
        self.assertEqual(json.loads(run("status", "long-1").stdout)["state"], "running")
        self.assertEqual(len(json.loads(run("status").stdout)["requests"]), 1)
        self.assertTrue(json.loads(run("cancel", "long-1").stdout)["cancelled"])
        self.assertEqual(list(events)[-1], "[DONE]")
        self.assertEqual(run("status", "nobody").returncode, 1)
        self.end(server)


if __name__ == "__main__":
    main()
