"""Wheels for a machine that reaches no registry: downloaded on the laptop for that machine's Python, or taken from a folder.

Nothing of a downloaded package is run here: wheels only, for another computer.
"""

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import BadInput, WorkFailed
from ai_nano.core.events import Listener, Progress
from ai_nano.core.provisioned import Group, Wants

MARKER = ".complete"
KEPT_LINES = 20
LOOK_S = 0.2
END_S = 5.0
OLDEST_GLIBC_MINOR = 5
# python tag, abi tag, platform tag (PEP 427); a build number may stand before them.
_NAME = re.compile(r"[A-Za-z0-9_.]+-[A-Za-z0-9_.!+]+(?:-\d[^-]*)?-([A-Za-z0-9_.]+)-([A-Za-z0-9_.]+)-([A-Za-z0-9_.]+)\.whl")
_USER_INFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/@]*@")


def collect(wants: Wants, folder: Path | None, cache: Path, emit: Listener, cancel: CancelToken) -> list[Path]:
    """The wheels to send: those of `folder` (`--wheels`) that fit the machine, else what pip finds for it.

    BadInput `provision.no_wheels_there`; WorkFailed `provision.no_pip_here`, `provision.no_download`.
    """
    if folder is not None:
        found = [path for path in sorted(folder.glob("*.whl")) if fits(path.name, wants)] if folder.is_dir() else []
        if not found:
            raise BadInput("provision.no_wheels_there", folder=folder, python=wants.python, machine=wants.machine)
        return found if any(path.name.startswith("pip-") for path in found) else [*found, *bundled_pip()]
    groups = [Group(("pip",), deps=False), *(wants.groups if wants.wheels else ())]
    if not wants.wheels and (own := bundled_pip()):
        return own
    return download(groups, wants, cache, emit, cancel)


def fits(name: str, wants: Wants) -> bool:
    match = _NAME.fullmatch(name)
    if match is None:
        return False
    pythons, abis, platforms = (part.split(".") for part in match.groups())
    own = wants.abi.rstrip("mdu")
    python = any(one in ("py3", "py2.py3", own) or (re.fullmatch(r"cp3\d+", one) and "abi3" in abis) for one in pythons)
    platform = any(one == "any" or (one.endswith(f"_{wants.machine}") and "linux" in one) for one in platforms)
    return bool(python) and platform


def bundled_pip() -> list[Path]:
    """The one wheel of pip that most interpreters bring; none where they do not."""
    found = importlib.util.find_spec("ensurepip")
    if found is None or found.origin is None:
        return []
    return sorted((Path(found.origin).parent / "_bundled").glob("pip-*.whl"))[-1:]


def download(groups: Sequence[Group], wants: Wants, cache: Path, emit: Listener, cancel: CancelToken) -> list[Path]:
    """By pip into a folder of the cache, which is used again as long as the same is wanted."""
    words = repr((groups, wants.constraints, wants.python, wants.abi, wants.machine, wants.glibc))
    folder = cache / f"{wants.abi}-{wants.machine}-{hashlib.sha256(words.encode()).hexdigest()[:12]}"
    if not (folder / MARKER).exists():
        folder.mkdir(parents=True, exist_ok=True)
        if importlib.util.find_spec("pip") is None:
            raise WorkFailed("provision.no_pip_here", python=sys.executable)
        constraints = folder / "constraints.txt"
        constraints.write_text("".join(f"{line}\n" for line in wants.constraints), encoding="utf-8")
        fetched = _Fetched(emit)
        for group in groups:
            _download(group, wants, folder, constraints, fetched, cancel)
        fetched.done()
        (folder / MARKER).touch()
    return sorted(folder.glob("*.whl"))


def _download(group: Group, wants: Wants, folder: Path, constraints: Path, hear: Callable[[str], None],
              cancel: CancelToken) -> None:
    command = [sys.executable, "-m", "pip", "download", "--dest", str(folder), "--only-binary", ":all:", "--no-input",
               "--progress-bar", "off", "--disable-pip-version-check", "--implementation", "cp",
               "--python-version", wants.python, *_options("--abi", (wants.abi, "abi3", "none")),
               *_options("--platform", platforms(wants)),
               *(["--constraint", str(constraints)] if group.deps else ["--no-deps"]), *group.lines]
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    environment = {name: value for name, value in os.environ.items() if name not in ("PIP_REQUIREMENT", "PIP_CONSTRAINT")}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          encoding="utf-8", errors="replace", env=environment) as process:
        stream = process.stdout
        assert stream is not None

        def read() -> None:
            for line in stream:
                lines.append(_USER_INFO.sub(r"\1***@", line.rstrip()))
                hear(line.strip())

        # pip is silent while it downloads a large file: who cancels does not wait for its next line.
        reader = threading.Thread(target=read, name="pip", daemon=True)
        reader.start()
        try:
            while reader.is_alive():
                cancel.check()
                reader.join(LOOK_S)
            cancel.check()
        except BaseException:
            process.kill()
            raise
        finally:
            reader.join(END_S)
    if process.returncode != 0:
        raise WorkFailed("provision.no_download", machine=wants.machine, python=wants.python, details=list(lines))


def platforms(wants: Wants) -> list[str]:
    """The tags that such a machine takes, the newest first (PEP 600)."""
    major, minor = wants.glibc
    newest = minor if major == 2 else 99
    tags = [f"manylinux_2_{number}_{wants.machine}" for number in range(newest, OLDEST_GLIBC_MINOR - 1, -1)]
    return [*tags, *(f"{old}_{wants.machine}" for old in ("manylinux2014", "manylinux2010", "manylinux1", "linux"))]


def _options(option: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


class _Fetched:
    """Counts what pip has got so far."""

    def __init__(self, emit: Listener) -> None:
        self._emit = emit
        self._count = 0

    def __call__(self, line: str) -> None:
        if line.startswith(("Saved ", "Collecting ")):
            self._count += 1
            self._emit(Progress("provision", self._count, 0, "packages", None, "provision.downloading"))

    def done(self) -> None:
        self._emit(Progress("provision", self._count, self._count, "packages", None, "provision.downloading"))
