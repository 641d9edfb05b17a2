"""The examples of the documentation do what they say."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from gguf_file import letter_vocabulary, with_keys
from harness import BINARY, MODEL, ROOT, ApiTest, Server, golden, main


class Documentation(ApiTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        ranking = with_keys(golden("arch/bert-rank/model.gguf"), cls.folder / "rank.gguf", letter_vocabulary(96))
        embedding = with_keys(golden("arch/bert-rank/model.gguf"), cls.folder / "mean.gguf",
                              letter_vocabulary(96) | {"bert.pooling_type": 1})
        cls.servers = {"": cls.server, "rerank": Server(models=[f"rank={ranking}"]),
                       "embedding": Server(models=[f"bert={embedding}"])}

    @classmethod
    def tearDownClass(cls):
        for name in ("rerank", "embedding"):
            cls.servers[name].stop()
            cls.servers[name].log.close()
        super().tearDownClass()
        shutil.rmtree(cls.folder)

    def test_examples(self):
        """Blocks marked sh, of curl commands against $URL; `model=` says which kind of model they need."""
        count = 0
        for name in ("api", "deployment", "operations"):
            text = (ROOT / f"docs/{name}.md").read_text()
            blocks = re.findall(r"^```sh(?: model=(\w+))?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
            for model, block in blocks:
                for command in re.split(r"\n(?=curl )", block):
                    with self.subTest(command=command.split("\n")[0]):
                        done = subprocess.run(["bash", "-c", command.replace("curl ", "curl --fail-with-body ", 1)],
                                              capture_output=True, text=True, timeout=60,
                                              env=os.environ | {"URL": self.servers[model].url})
                        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                        self.assertTrue(done.stdout)
                        count += 1
            self.assertEqual(len(re.findall("curl ", text)), sum(block.count("curl ") for _, block in blocks))
        self.assertGreater(count, 15)

    def test_command_lines(self):
        """Those of serve, with --check-config, in a folder with the files that they name."""
        folder = self.folder / "commands"
        folder.mkdir()
        shutil.copy(MODEL, folder / "model.gguf")
        (folder / "keys").write_text("secret name=someone\n")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-keyout", "key.pem", "-out", "chain.pem"], cwd=folder, check=True, capture_output=True)
        lines = [line for name in ("deployment", "operations", "api")
                 for line in re.findall(r"^    rocmforge (serve .*)", (ROOT / f"docs/{name}.md").read_text(), re.MULTILINE)]
        self.assertGreaterEqual(len(lines), 1)
        for line in lines:
            with self.subTest(line=line):
                done = subprocess.run([BINARY, *line.split(), "--check-config"], cwd=folder, capture_output=True, text=True,
                                      env=os.environ | {"HOME": "/nonexistent"})
                self.assertEqual((done.returncode, done.stdout), (0, "the configuration is good\n"), done.stderr)

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
