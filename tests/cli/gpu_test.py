#!/usr/bin/env python3
"""The binary on the simulated device, and where there is no GPU at all."""
import ctypes
import os
import pathlib

from harness import CliTest, golden, main

SIM = str(pathlib.Path(os.environ["ROCMFORGE_BINARY"]).parent / "librocmforge_sim32.so")
NOWHERE = "/nowhere/libamdhip64.so"


class Gpu(CliTest):
    def generate(self, *arguments, **environment):
        return self.json("generate", "-m", golden("arch/llama/model.gguf"), "--tokens", "5,9,60,33", "-n", 8,
                         "--temperature", 0, "--ignore-eos", "--kv", "f32", "--json", *arguments, **environment)["ids"]

    def test_the_same_tokens_as_on_the_cpu(self):
        expected = self.generate("--device", "cpu")
        self.assertEqual(self.generate("--device", "sim"), expected)
        self.assertEqual(self.generate("--device", "sim", "--gpu-layers", 1), expected)
        self.assertEqual(self.generate("--device", "sim", "--place", "blk.0.ffn*=cpu"), expected)
        self.assertEqual(self.generate("--device", "sim", ROCMFORGE_GPU_GRAPHS="0"), expected)
        self.assertEqual(self.generate("--device", "gpu", ROCMFORGE_GPU_LIBRARY=SIM), expected)

    def test_a_lost_device_costs_no_token(self):
        expected = self.generate("--device", "cpu")
        self.assertEqual(self.generate("--device", "sim", ROCMFORGE_SIM_FAULT="lost:90"), expected)
        self.assertEqual(self.generate("--device", "sim", ROCMFORGE_SIM_FAULT="hang:60", ROCMFORGE_GPU_TIMEOUT="0.3"),
                         expected)
        self.assertEqual(self.generate("--device", "sim", ROCMFORGE_SIM_FAULT="copy"), expected)

    def test_devices_and_plans_show_it(self):
        found = self.json("devices", "--json", "-t", 1, ROCMFORGE_GPU_LIBRARY=SIM)["gpus"]
        self.assertEqual([g["arch"] for g in found], ["gfxsim32"])
        self.assertEqual(found[0]["self_test"], "passed")
        self.assertIn("gfxsim32", self.output("devices", ROCMFORGE_GPU_LIBRARY=SIM))
        plan = self.output("inspect", golden("arch/llama/model.gguf"), "--plan", "--device", "sim", "--place",
                           "blk.1.*=cpu")
        self.assertIn("memory on gpu/gfxsim32", plan)
        self.assertIn("memory on cpu/", plan)

    def test_several_devices_know_each_other(self):
        two = {"ROCMFORGE_GPU_LIBRARY": SIM, "ROCMFORGE_SIM_DEVICES": "2"}
        found = self.json("devices", "--json", "-t", 1, **two)["gpus"]
        self.assertEqual([(g["index"], g["peers"], g["self_test"]) for g in found], [(0, [1], "passed"), (1, [0], "passed")])
        self.assertIn("peers      GPU 1", self.output("devices", **two))
        self.assertEqual(self.generate("--device", "gpu:1", **two), self.generate("--device", "cpu"))

    def test_a_device_that_cannot_be_trusted_is_left_out(self):
        broken = {"ROCMFORGE_GPU_LIBRARY": SIM, "ROCMFORGE_SIM_FAULT": "garble"}
        self.assertEqual(self.json("devices", "--json", "-t", 1, **broken)["gpus"], [])
        self.assertIn("copies to the host bring wrong bytes", self.output("devices", **broken))
        self.assertEqual(self.generate(**broken), self.generate("--device", "cpu"))
        line = self.failure("generate", "-m", golden("arch/llama/model.gguf"), "-p", "a", "--device", "gpu", **broken)
        self.assertIn("copies to the host bring wrong bytes", line)
        self.assertIn("reads back in whole pages", self.output("devices", **{**broken, "ROCMFORGE_SIM_FAULT": "copy"}))

    def test_steps_are_timed_where_they_run(self):
        result = self.json("bench", "-m", golden("arch/llama/model.gguf"), "-p", 8, "-n", 3, "-r", 1, "--steps", "--json",
                           "--device", "sim", "--place", "blk.0.ffn*=cpu")
        self.assertEqual(result["device"], "gpu/gfxsim32")
        for phase in ("prefill_steps", "decode_steps"):
            places = {}
            for step in result[phase]:
                places.setdefault(step["op"], set()).add(step["place"].split("/")[0])
                self.assertGreater(step["gb_per_second"], 0)
                self.assertGreater(step["bandwidth_fraction"], 0)
            self.assertEqual(places, {"embed": {"gpu"}, "qkv": {"gpu"}, "attend": {"gpu"}, "matmul": {"cpu", "gpu"},
                                      "gate_up": {"cpu", "gpu"}, "logits": {"gpu"}})

    def test_without_a_gpu(self):
        self.assertEqual(self.json("devices", "--json", "-t", 1, ROCMFORGE_GPU_LIBRARY=NOWHERE)["gpus"], [])
        self.assertIn("no GPU driver found", self.output("devices", ROCMFORGE_GPU_LIBRARY=NOWHERE))
        expected = self.generate("--device", "cpu")
        self.assertEqual(self.generate(ROCMFORGE_GPU_LIBRARY=NOWHERE), expected)
        model = golden("arch/llama/model.gguf")
        for arguments in (["--device", "gpu"], ["--device", "gpu:1"], ["--gpu-layers", "3"]):
            with self.subTest(arguments=arguments):
                line = self.failure("generate", "-m", model, "-p", "a", *arguments, ROCMFORGE_GPU_LIBRARY=NOWHERE)
                self.assertIn("no GPU driver found", line)
        line = self.failure("generate", "-m", model, "-p", "a", "--device", "gpu:7", ROCMFORGE_GPU_LIBRARY=SIM)
        self.assertIn("gpu:7", line)

    def test_a_real_driver_without_a_card(self):
        if os.path.exists("/dev/kfd"):
            self.skipTest("there is a card")
        try:
            ctypes.CDLL("libamdhip64.so.5")
        except OSError:
            self.skipTest("Debian's libamdhip64-5 is not installed")
        found = self.output("devices", "-t", 1)
        self.assertIn("no GPU driver found", found)
        self.assertIn("libamdhip64.so.5", found)
        self.assertEqual(self.generate(), self.generate("--device", "cpu"))
        line = self.failure("generate", "-m", golden("arch/llama/model.gguf"), "-p", "a", "--device", "gpu")
        self.assertIn("no GPU driver found", line)


if __name__ == "__main__":
    main()
