"""The examples of the documentation do what they say."""
import json
import os
import re
import subprocess

from harness import BINARY, ROOT, ApiTest, main


class Documentation(ApiTest):
    def test_examples(self):
        count = 0
        for name in ("api", "operations"):
            for block in re.findall(r"^```sh\n(.*?)^```", (ROOT / f"docs/{name}.md").read_text(), re.DOTALL | re.MULTILINE):
                for command in re.split(r"\n(?=curl )", block):
                    with self.subTest(command=command.split("\n")[0]):
                        done = subprocess.run(["bash", "-c", command.replace("curl ", "curl --fail-with-body ", 1)],
                                              capture_output=True, text=True, timeout=60,
                                              env=os.environ | {"URL": self.server.url})
                        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                        self.assertTrue(done.stdout)
                        count += 1
        self.assertGreater(count, 15)

    def test_every_route_is_told_of(self):
        text = "".join((ROOT / f"docs/{name}.md").read_text() for name in ("api", "operations"))
        sources = "".join(p.read_text() for p in (ROOT / "src/server").glob("*.cpp"))
        for path in re.findall(r'"(?:GET|POST)", "(/[^":]*)', sources):
            last = path.rstrip("/") or "/"
            self.assertIn(last, text)

    def test_settings_are_options(self):
        options = subprocess.run([BINARY, "serve", "--help"], capture_output=True, text=True).stdout
        for name in re.findall(r"^#?ROCMFORGE_(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE):
            if not name.startswith("LOG_"):
                self.assertIn("--" + name.lower().replace("_", "-"), options)


if __name__ == "__main__":
    main()
