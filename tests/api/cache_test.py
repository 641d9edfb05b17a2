"""What the cache has room for no longer, and what a restart would forget, is brought back and not read again."""
import pathlib
import re
import tempfile
import threading
import time
import unittest

from harness import Server, golden, main, together

SIZES = ("--ctx", 512, "--page", 16)
RECURRENT = golden("arch/lfm2/model.gguf") or golden("arch/mamba/model.gguf")


def tokens(length, seed=0):
    return [(i * 31 + seed * 7 + 3) % 250 for i in range(length)]


def complete(server, prompt, count=24, **more):
    answer = server.post("/v1/completions", {"prompt": prompt, "max_tokens": count, "ignore_eos": True, "temperature": 0,
                                             "return_tokens": True} | more)
    return answer["choices"][0]["text"], answer["usage"].get("prompt_tokens_details", {}).get("cached_tokens", 0)


def metric(server, name):
    return float(re.search(rf"^{name} (\S+)$", server.request("GET", "/metrics")[1], re.M)[1])


def settled(server, folder):
    """Waits until the files in `folder` are all written."""
    seen, same = -1, 0
    while same < 5:
        same = same + 1 if seen == (seen := len(files(folder))) else 0
        time.sleep(0.2)


def files(folder, kind="*"):
    return sorted(pathlib.Path(folder).glob(f"*/*.{kind}"))


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def server(self, *options, models=None):
        sizes = dict(zip(SIZES[::2], SIZES[1::2])) | dict(zip(options[::2], options[1::2]))
        words = [word for pair in sizes.items() for word in pair]
        server = Server(*words, "--cache-dir", self.folder.name, models=models)
        self.addCleanup(server.log.close)
        self.addCleanup(server.stop)
        return server

    def test_a_restart_is_warm(self):
        for models in [None, *([[f"tiny={RECURRENT}"]] if RECURRENT else [])]:
            for host in (0, -1):
                system = tokens(200, host)
                first = self.server("--host-cache", host, models=models)
                cold = complete(first, system + [5, 6])
                self.assertEqual(cold[1], 0)
                self.assertEqual(first.stop(), 0)
                again = self.server("--host-cache", host, models=models)
                self.assertEqual(complete(again, system + [5, 6]), (cold[0], 192))
                other = complete(again, system + [9, 9, 9])
                again.kill_engine()
                self.assertEqual(complete(again, system + [9, 9, 9]), (other[0], 192))
                self.assertEqual(again.stop(), 0)

    def test_how_the_model_runs_makes_a_difference(self):
        self.server().stop()
        for options in ((), ("--kv", "q8_0"), ("--page", 32), ("--ctx", 256), ("--kv", "q4_0")):
            server = self.server(*options)
            self.assertEqual(complete(server, tokens(100))[1], 0, options)
            server.stop()

    def test_damaged_files_are_removed(self):
        server = self.server()
        text, _ = complete(server, tokens(100))
        server.stop()
        pages = files(self.folder.name, "page")
        self.assertGreaterEqual(len(pages), 6)
        harms = [lambda b: b[:100], lambda b: b"", lambda b: b[:-7] + b"garbage", lambda b: b"x" * len(b),
                 lambda b: b[:8] + b"\x07" + b[9:], lambda b: b + b"more"]
        for harm in harms:
            server = self.server()
            self.assertEqual(complete(server, tokens(100))[0], text)
            server.stop()
            damaged = files(self.folder.name, "page")
            for page in damaged:
                page.write_bytes(harm(page.read_bytes()))
            server = self.server()
            self.assertEqual(complete(server, tokens(100)), (text, 0))
            told = re.findall(r"(\S+\.page): .*; it is removed", server.text())
            self.assertEqual(len(told), 1, server.text())  # with the first one gone nothing asks for the others
            server.stop()

    def test_a_folder_that_cannot_be_written(self):
        (pathlib.Path(self.folder.name) / "file").write_text("")
        server = Server(*SIZES, "--cache-dir", self.folder.name + "/file/below")
        expected = complete(server, tokens(100))
        self.assertEqual(complete(server, tokens(100))[0], expected[0])
        server.stop()
        self.assertEqual(server.text().count("cannot be written"), 1, server.text())
        server.log.close()

    def test_servers_share_a_small_folder(self):
        servers = [self.server("--cache-size", 0.2) for _ in range(2)]
        expected = [complete(servers[0], tokens(100, seed)) for seed in range(12)]
        for _ in range(2):
            together([lambda s=s, seed=seed: self.assertEqual(complete(s, tokens(100, seed))[0], expected[seed][0])
                      for s in servers for seed in range(12)])
        for server in servers:
            settled(server, self.folder.name)
            self.assertEqual(server.stop(), 0)
        self.assertLess(sum(f.stat().st_size for f in files(self.folder.name)), 0.25 * 2**20)
        self.assertGreater(len(files(self.folder.name)), 3)


class Pages(unittest.TestCase):
    def test_what_gives_way_goes_on_where_it_was(self):
        with_states = [[f"tiny={RECURRENT}"]] if RECURRENT else []
        for models in [None, *with_states]:
            wide, narrow = (Server(*SIZES, "--parallel", 8, *options, models=models)
                            for options in ((), ("--cache-tokens", 512, "--host-cache", 64)))
            jobs = [lambda s, i=i: complete(s, tokens(60 + 9 * i, i), 120, temperature=0.8, seed=i) for i in range(8)]
            expected = [job(wide)[0] for job in jobs]
            found = together([lambda job=job: job(narrow)[0] for job in jobs])
            self.assertEqual(found, expected)
            end = time.monotonic() + 60
            while not metric(narrow, "rocmforge_preemptions_total"):  # until the engine tells
                self.assertLess(time.monotonic(), end)
                time.sleep(0.1)
            self.assertEqual(metric(narrow, "rocmforge_tokens_read_again_total"), 0)
            self.assertGreater(metric(narrow, "rocmforge_host_cache_bytes"), 0)
            for server in (wide, narrow):
                self.assertEqual(server.stop(), 0)
                server.log.close()

    def test_every_cache_type_outlives_its_engine(self):
        for kv in ("f32", "f16", "q8_0", "q4_0"):
            server = Server(*SIZES, "--kv", kv)
            text, _ = complete(server, tokens(50), 400)
            killer = threading.Timer(0.1, server.kill_engine)
            killer.start()
            self.assertEqual(complete(server, tokens(50), 400)[0], text, kv)
            killer.join()
            server.stop()
            server.log.close()


class Keys(unittest.TestCase):
    def test_priorities_go_first(self):
        with tempfile.NamedTemporaryFile("w") as keys:
            keys.write("low priority=-5\nnormal\nhigh priority=7\n")
            keys.flush()
            server = Server("--ctx", 50000, "--parallel", 1, "--api-key-file", keys.name, "--queue", 8)
            order, lock = [], threading.Lock()

            def ask(key, count, name):
                body = {"prompt": tokens(20), "max_tokens": count, "ignore_eos": True}
                server.post("/v1/completions", body, headers={"Authorization": f"Bearer {key}", "X-Request-Id": name})
                with lock:
                    order.append(key)

            def have(count):
                end = time.monotonic() + 60
                while len(server.request("GET", "/status", headers={"X-Api-Key": "normal"})[1]["requests"]) < count:
                    self.assertLess(time.monotonic(), end)
                    time.sleep(0.01)

            threads = []
            for key, count in (("normal", 49000), ("low", 1500), ("low", 1500), ("normal", 1500), ("high", 1500)):
                threads.append(threading.Thread(target=ask, args=(key, count, f"request-{len(threads)}")))
                threads[-1].start()
                have(len(threads))
            server.request("POST", "/cancel/request-0", headers={"X-Api-Key": "normal"})
            for thread in threads:
                thread.join()
            server.stop()
            server.log.close()
            self.assertEqual(order, ["normal", "high", "normal", "low", "low"])


if __name__ == "__main__":
    main()
