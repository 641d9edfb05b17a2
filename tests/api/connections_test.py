"""Many idle clients cost little and leave the server responsive; a connection too many is told so."""
import resource
import socket
import time

from harness import SANITIZED, ApiTest, Server, main

GET = b"GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n"
IDLE = 2000
MOST_BYTES = (64 if SANITIZED else 16) << 10  # of the server's memory, for each


def resident(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


class Idle(ApiTest):
    @classmethod
    def setUpClass(cls):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
        cls.server = Server("--max-connections", IDLE + 20)

    def connect(self, used=True):
        connection = socket.create_connection((self.server.host, self.server.port), timeout=60)
        if used:
            connection.sendall(GET)
            self.assertIn(b"200 OK", connection.recv(4096))
        return connection

    def test_many(self):
        while not self.server.request("GET", "/statistics")[1]["bandwidth_percent"]:  # its measurement takes memory
            self.server.post("/v1/completions", {"prompt": "x", "max_tokens": 20, "ignore_eos": True})
        before = resident(self.server.process.pid)
        idle = [self.connect() for _ in range(IDLE)]
        self.assertLess(resident(self.server.process.pid) - before, IDLE * MOST_BYTES)
        self.assertEqual(self.server.request("GET", "/statistics")[1]["connections"], IDLE + 1)
        answer = self.server.post("/v1/completions", {"prompt": "x", "max_tokens": 8, "ignore_eos": True})
        self.assertEqual(answer["usage"]["completion_tokens"], 8)
        # Up to the limit and beyond.
        idle += [self.connect(used=False) for _ in range(20)]
        status, answer, response = self.server.request("GET", "/health")
        self.assertEqual(status, 503)
        self.assertIn(f"at most {IDLE + 20} connections", answer["error"]["message"])
        self.assertEqual(response.getheader("Retry-After"), "1")
        self.assertEqual(response.getheader("Connection"), "close")
        # Every one of them is still served.
        for connection in idle[:IDLE:50]:
            connection.sendall(GET)
            self.assertIn(b"200 OK", connection.recv(4096))
        for connection in idle:
            connection.close()
        end = time.monotonic() + 60
        while self.server.request("GET", "/health")[0] != 200:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)


class Timeouts(ApiTest):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--idle-timeout", 2, "--receive-timeout", 2)

    def test_silent_clients_are_let_go(self):
        for begin in (b"", GET, b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Le"):
            with socket.create_connection((self.server.host, self.server.port), timeout=60) as connection:
                connection.sendall(begin)
                while connection.recv(4096):
                    pass  # it ends by the server's doing


if __name__ == "__main__":
    main()
