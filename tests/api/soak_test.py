"""Random cancels, disconnects, malformed bodies and engine deaths for RF_SOAK seconds (6 unless told): every accepted request
is answered exactly once and rightly, and nothing is left over: no pages, descriptors, requests or memory."""
import json
import os
import random
import socket
import threading
import time

from harness import SANITIZED, ApiTest, main, together

SECONDS = float(os.environ.get("RF_SOAK", 6))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


class Soak(ApiTest):
    def body(self, i, chance):
        return {"prompt": "word " * (1 + i % 40), "max_tokens": 20 + i % 60, "ignore_eos": True, "seed": i % 7,
                "temperature": (i % 3) / 2, "stream": bool(i % 2)}

    def answer(self, body):
        if not body["stream"]:
            choice = self.server.post("/v1/completions", body)["choices"][0]
            return choice["text"], choice["finish_reason"]
        text, reasons, done = "", [], 0
        for event in self.server.stream("/v1/completions", body):
            if event == "[DONE]":
                done += 1
                continue
            self.assertNotIn("error", event)
            text += event["choices"][0]["text"]
            reasons += [event["choices"][0]["finish_reason"]] if event["choices"][0]["finish_reason"] else []
        self.assertEqual((done, len(reasons)), (1, 1))
        return text, reasons[0]

    def client(self, number, until, known, lock):
        chance = random.Random(number)
        count = 0
        while time.monotonic() < until:
            i, kind = chance.randrange(60), chance.random()
            body = self.body(i, chance)
            if kind < 0.15:  # leaves in the middle
                data = json.dumps(body).encode()
                with socket.create_connection((self.server.host, self.server.port)) as connection:
                    connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(data)
                                       + data[:chance.randrange(1, len(data) + 1)])
                    time.sleep(chance.random() / 20)
                continue
            if kind < 0.25:
                noise = bytes(chance.randrange(256) for _ in range(chance.randrange(200)))
                self.assertIn(self.server.request("POST", "/v1/chat/completions", noise)[0], (400, 404))
                continue
            if kind < 0.35:  # is cancelled by its id
                name = f"soak-{number}-{count}"
                events = self.server.stream("/v1/completions", body | {"stream": True}, headers={"X-Request-Id": name})
                next(events)
                self.server.request("POST", f"/cancel/{name}", {})
                self.assertEqual(list(events)[-1], "[DONE]")
                continue
            found = self.answer(body)
            with lock:
                self.assertEqual(known.setdefault(i, found), found)
            count += 1
        return count

    def test_nothing_is_left_over(self):
        self.server.post("/v1/completions", self.body(3, None) | {"stream": False})
        pid = self.server.process.pid
        time.sleep(1)
        before, size = descriptors(pid), resident(pid)
        until = time.monotonic() + SECONDS
        known, lock, deaths = {}, threading.Lock(), []

        def harm():
            while time.monotonic() < until:
                time.sleep(random.uniform(0.5, 1.5))
                deaths.append(self.server.kill_engine())
            return 0

        counts = together([lambda n=n: self.client(n, until, known, lock) for n in range(12)] + [harm])
        self.assertGreater(sum(counts), 5)
        end = time.monotonic() + 60
        while True:
            now = self.server.request("GET", "/statistics")[1]
            if not (now["running"] or now["waiting"] or now["pages_used"] or
                    self.server.request("GET", "/status")[1]["requests"]) and now["models"][0]["state"] == "ready":
                break
            self.assertLess(time.monotonic(), end, now)
            time.sleep(0.1)
        time.sleep(1)
        self.assertLessEqual(descriptors(pid), before + 2)
        if not SANITIZED:
            self.assertLess(resident(pid), size + 64 * 1024)
        print(f"{sum(counts)} answers, {len(deaths)} deaths, {SECONDS:.0f} s")


if __name__ == "__main__":
    main()
