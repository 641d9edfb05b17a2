"""The wall clock is set back and forth while the server works: no time that it measures may change."""
import glob
import pathlib
import tempfile
import unittest

from harness import SANITIZED, ApiTest, Server, main

# A preloaded library would come before the sanitizer's.
LIBRARY = None if SANITIZED else next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
DAY = 24 * 3600


@unittest.skipUnless(LIBRARY, "skip: needs libfaketime and a build without sanitizers")
class WallClock(ApiTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.clock = pathlib.Path(cls.folder.name) / "clock"
        cls.set(0)
        cls.server = Server("--ctx", 4096, "--keep-alive", 3600, "--watchdog", 60, "--idle-timeout", 600,
                            "--cache-dir", f"{cls.folder.name}/cache", LD_PRELOAD=LIBRARY, FAKETIME_NO_CACHE="1",
                            FAKETIME_TIMESTAMP_FILE=str(cls.clock), FAKETIME_DONT_FAKE_MONOTONIC="1", NO_FAKE_STAT="1")

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.folder.cleanup()

    @classmethod
    def set(cls, seconds):
        written = cls.clock.with_suffix(".new")  # half of a file that is being written would end the server
        written.write_text(f"{seconds:+d}\n")
        written.replace(cls.clock)

    def test_jumps(self):
        created, ids = [], []
        for jump in (-DAY, DAY, -400 * DAY, 400 * DAY, 0):
            events = self.server.stream("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100,
                                                            "temperature": 0, "ignore_eos": True, "stream": True,
                                                            "stream_options": {"include_usage": True}})
            first = next(events)
            self.set(jump)
            rest = list(events)
            self.assertEqual(rest[-1], "[DONE]")
            self.assertEqual(rest[-2]["usage"]["completion_tokens"], 100)
            timings = rest[-2]["timings"]
            for name, value in timings.items():
                self.assertTrue(0 <= value < 1e9 if "per_second" in name else 0 <= value < 600e3, timings)
            created.append(first["created"])
            ids.append(first["id"])
        self.assertLess(created[1], created[0] - DAY / 2)  # the clock did jump
        self.assertGreater(created[2], created[0] + DAY / 2)
        spans = self.server.request("GET", "/traces")[1]["resourceSpans"][0]["scopeSpans"][0]["spans"]
        self.assertGreaterEqual(len(spans), 3 * len(ids))
        for span in spans:
            self.assertTrue(0 <= int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]) < 600e9, span)
        facts = self.server.request("GET", "/statistics")[1]
        self.assertEqual((facts["restarts"], [m["state"] for m in facts["models"]]), (0, ["ready"]))
        text = self.server.request("GET", "/metrics")[1]
        for line in text.splitlines():
            if "_seconds_sum" in line:
                self.assertTrue(0 <= float(line.split()[-1]) < 600, line)


if __name__ == "__main__":
    main()
