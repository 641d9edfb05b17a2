"""Runs the real binary. Every test file takes its path from ROCMFORGE_BINARY and the golden folders from GOLDEN."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

BINARY = os.environ["ROCMFORGE_BINARY"]
SANITIZED = "RF_SANITIZE" in os.environ
GOLDEN = [pathlib.Path(p) for p in os.environ["GOLDEN"].split(":")]
ROOT = pathlib.Path(__file__).resolve().parents[2]


def golden(relative):
    """The path of golden data: of the complete set where it is at hand, else of the repository's part."""
    return next((folder / relative for folder in GOLDEN if (folder / relative).exists()), None)


def environment(**changes):
    """No setting of the user reaches a test."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ROCMFORGE_", "XDG_", "RF_"))}
    return kept | {"HOME": "/nonexistent"} | changes


class CliTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_binary(self, *arguments, code=0, stdin="", timeout=120, **env):
        done = subprocess.run([BINARY, *map(str, arguments)], input=stdin.encode(), capture_output=True,
                              timeout=timeout, env=environment(**env))
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stderr.decode(errors='replace')}")
        return done

    def output(self, *arguments, **options):
        return self.run_binary(*arguments, **options).stdout.decode()

    def json(self, *arguments, **options):
        return json.loads(self.output(*arguments, **options))

    def failure(self, *arguments, code=1, **options):
        """The one line that a failing command writes."""
        lines = self.run_binary(*arguments, code=code, **options).stderr.decode(errors="replace").splitlines()
        self.assertEqual(len(lines), 1, lines)
        return lines[0]

    def put(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path


def main():
    unittest.main(verbosity=1)
