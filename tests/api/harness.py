"""Starts the real server on a tiny model and talks to it over loopback."""
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import time
import unittest

BINARY = os.environ["ROCMFORGE_BINARY"]
GOLDEN = [pathlib.Path(p) for p in os.environ["GOLDEN"].split(":")]
ROOT = pathlib.Path(__file__).resolve().parents[2]
SANITIZED = "RF_SANITIZE" in os.environ  # the binary, which then keeps what was freed for a while


def golden(relative):
    return next((folder / relative for folder in GOLDEN if (folder / relative).exists()), None)


MODEL = golden("arch/llama/model.gguf")


class Server:
    """`rocmforge serve` as a process; `options` are further words of its command line. Without `log` the log's level is
    left to them."""

    def __init__(self, *options, models=None, ready=True, log=True, binary=BINARY, **env):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ROCMFORGE_", "XDG_", "RF_"))}
        command = [binary, "serve"] + (["--log-level", "info"] if log else [])
        for model in [f"tiny={MODEL}"] if models is None else models:
            command += ["-m", model]
        if "--unix-socket" not in options:
            command += ["--port", "0"]
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([*command, "--threads", "1", *map(str, options)], stdout=subprocess.PIPE,
                                        stderr=self.log, env=kept | {"HOME": "/nonexistent"} | env)
        line = self.process.stdout.readline().decode()
        found = re.match(r"listening on (?:unix:|\w+://([\w.]+):(\d+))", line)
        if not found:
            raise AssertionError(f"the server did not start: {self.text()}")
        self.host, self.port = found[1], int(found[2] or 0)
        if ready:
            self.wait_ready()

    def text(self):
        size = os.fstat(self.log.fileno()).st_size  # the server writes at the descriptor's place, which stays
        return os.pread(self.log.fileno(), size, 0).decode(errors="replace")

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    def wait_ready(self, timeout=60):
        end = time.monotonic() + timeout
        while self.request("GET", "/health")[0] != 200:
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"not ready: {self.text()}")
            time.sleep(0.02)

    def request(self, method, path, body=None, headers=None, timeout=120):
        """(status, body as JSON where it is JSON, headers)"""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        try:
            connection.request(method, path, data, {"Content-Type": "application/json"} | (headers or {}))
            response = connection.getresponse()
            raw = response.read()
            kind = response.getheader("Content-Type", "")
            return response.status, json.loads(raw) if "json" in kind and raw and "nd" not in kind else raw.decode(), response
        finally:
            connection.close()

    def post(self, path, body, **options):
        status, answer, _ = self.request("POST", path, body, **options)
        if status != 200:
            raise AssertionError(f"{path}: {status} {answer}")
        return answer

    def stream(self, path, body, headers=None, timeout=120):
        """Yields the data of each event, "[DONE]" included."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"} | (headers or {}))
            response = connection.getresponse()
            if response.status != 200:
                raise AssertionError(f"{path}: {response.status} {response.read()}")
            for line in response:
                if line.startswith(b"data: "):
                    text = line[6:].decode().rstrip("\n")
                    yield text if text == "[DONE]" else json.loads(text)
        finally:
            connection.close()

    def engine(self):
        """The process of the first model's engine, 0 while there is none."""
        return self.request("GET", "/statistics")[1]["models"][0]["process"]

    def kill_engine(self, how=signal.SIGKILL):
        pid = self.engine()
        if pid:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                pass
        return pid

    def stop(self, how=signal.SIGTERM, timeout=60):
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not end: {self.text()}") from None
        finally:
            self.process.stdout.close()


class ApiTest(unittest.TestCase):
    OPTIONS = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--ctx", 4096, "--parallel", 16, "--page", 16, *cls.OPTIONS)

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        text = cls.server.text()
        cls.server.log.close()
        assert code == 0, f"exit code {code}: {text}"
        assert "Sanitizer" not in text, text

    def refused(self, path, body, status=400, param=None, method="POST", headers=None):
        found, answer, response = self.server.request(method, path, body, headers)
        self.assertEqual(found, status, answer)
        self.assertIn("error", answer)
        if param is not None:
            self.assertEqual(answer["error"]["param"], param, answer)
        return answer


def together(jobs):
    """Runs all functions at the same time; their results, or the first exception."""
    results, errors = [None] * len(jobs), []

    def run(i, job):
        try:
            results[i] = job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i, job)) for i, job in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def main():
    unittest.main(verbosity=1)
