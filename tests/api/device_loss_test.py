"""A GPU that fails while requests run costs none of them anything: the simulated one, with each fault."""
import unittest

from harness import Server, together, main

REQUESTS = [{"prompt": "Once upon a time " * (1 + i), "max_tokens": 16, "ignore_eos": True, "stream": True, "temperature": 0}
            for i in range(3)]


def text_of(server, request):
    """What a stream gives, which has to end as it should."""
    text, finish = "", None
    for event in server.stream("/v1/completions", request):
        if event != "[DONE]":
            assert finish is None and "error" not in event, event
            text, finish = text + event["choices"][0]["text"], event["choices"][0]["finish_reason"]
    assert finish == "length", finish
    return text


class DeviceLoss(unittest.TestCase):
    def answers(self, fault):
        """All answers, the log, and how often an engine was started anew."""
        server = Server("--ctx", 256, "--parallel", 4, "--page", 16, "--kv", "f32", "--device", "sim",
                        ROCMFORGE_SIM_FAULT=fault, ROCMFORGE_GPU_TIMEOUT="0.5")
        try:
            texts = together([lambda r=r: text_of(server, r) for r in REQUESTS])
            return texts, server.text(), server.request("GET", "/statistics")[1]["restarts"]
        finally:
            self.assertEqual(server.stop(), 0)
            server.log.close()

    def test_requests_go_on(self):
        expected, log, _ = self.answers("none")
        self.assertNotIn("given up", log)
        for fault in ("lost:150", "hang:150", "launch:40"):
            with self.subTest(fault=fault):
                texts, log, restarts = self.answers(fault)
                self.assertEqual(texts, expected)
                self.assertIn("gpu/gfxsim32 is given up", log)
                self.assertEqual(restarts, 0)


if __name__ == "__main__":
    main()
