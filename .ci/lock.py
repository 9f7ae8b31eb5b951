"""Pin the runtime, all sinks and the CPU engines with hashes, for containers and CI: requirements.lock.

    python .ci/lock.py            # add what pyproject.toml needs, and keep the other versions
    python .ci/lock.py --upgrade  # take the newest versions
    python .ci/lock.py --check    # exit code 1 if the file does not fit pyproject.toml

Install it by `pip install --require-hashes -r requirements.lock`, then the package by `pip install --no-deps .`. It holds for every
supported Python on Linux, x86_64 and aarch64.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
EXTRAS = ("text", "onnxruntime", "mqtt", "kafka", "webhook", "parquet", "redis")


def compile_lock(output: Path, *, upgrade: bool) -> None:
    """Resolve pyproject.toml into a file; versions that are in it are kept."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet", "--universal", "--python-version", "3.10"]
    command += ["--generate-hashes", "--only-binary", ":all:", "--no-annotate"]
    command += ["--custom-compile-command", "python .ci/lock.py", *(["--upgrade"] if upgrade else [])]
    command += [part for extra in EXTRAS for part in ("--extra", extra)]
    subprocess.run([*command, "--output-file", str(output)], cwd=ROOT, check=True)


def main() -> None:
    """Write or check the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    arguments = parser.parse_args()
    if not arguments.check:
        compile_lock(LOCK, upgrade=arguments.upgrade)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / LOCK.name
        copy.write_bytes(LOCK.read_bytes())
        compile_lock(copy, upgrade=False)
        if copy.read_bytes() != LOCK.read_bytes():
            sys.exit("requirements.lock does not fit pyproject.toml: run `python .ci/lock.py`, and commit the file")


if __name__ == "__main__":
    main()
