"""Measures how much `make demo` and `make test` download on a fresh machine; prints the figures, one a line.

Usage: download_size.py GROUP=REQUIREMENT[|REQUIREMENT]... ...
pip resolves each group for this platform and Python without installing, and the sizes of the files it names are added.
"""

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit


def files(requirements: list[str]) -> list[str]:
    """The addresses of what pip would install for the requirements where nothing is installed yet."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed", "--report", report]
            + requirements,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        installs = json.loads(report.read_text(encoding="utf-8"))["install"]
    return [item["download_info"]["url"] for item in installs if "dir_info" not in item["download_info"]]


def size(address: str) -> int:
    """Bytes of a file behind an http or file address."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(unquote(parts.path)).stat().st_size
    with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=60) as answer:
        return int(answer.headers["Content-Length"])


def main(argv: list[str]) -> int:
    for group in argv:
        name, _, requirements = group.partition("=")
        total = sum(size(address) for address in files(requirements.split("|")))
        print(f"{name} = {total / 1e6:.0f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
