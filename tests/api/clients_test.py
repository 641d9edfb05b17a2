"""The client packages that users have, against the real server."""
import os
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = pathlib.Path(os.environ["RF_BUILD"]) / "clients"


def prepared():
    """A Python that has the packages; None, said aloud, where they cannot be fetched."""
    python = FOLDER / "bin/python"
    mark = FOLDER / "complete"
    if not mark.exists():
        try:
            venv.create(FOLDER, with_pip=True, clear=True)
            subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "openai", "anthropic",
                            "ollama"], check=True, capture_output=True, text=True, timeout=240)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"skip: the client packages cannot be fetched: {getattr(error, 'stderr', None) or error}")
            return None
        mark.touch()
    return python


if __name__ == "__main__":
    python = prepared()
    sys.exit(77 if python is None else subprocess.run([python, HERE / "clients.py"]).returncode)
