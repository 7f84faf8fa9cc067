"""pip, as counted progress and a log without secrets."""

import os
import re
import select
import shutil
import signal
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Callable, List, Optional

from shared.provision_packages import Group, release
from shared.provision_python import Interpreter, environment, look
from shared.wire import Failure, Run

# What pip is to do here is said on its command line, whatever the login's configuration says about where to install.
NOT_ELSEWHERE = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
DROPPED = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_NO_DEPS", "PIP_REQUIREMENT", "PIP_CONSTRAINT", "PIP_QUIET", "PIP_LOG")
# One small package that every registry has: whether it comes says whether there is a registry.
PROBE = "pip"
PROBE_S = 40.0
PROBE_OPTIONS = ("--timeout", "8", "--retries", "0")
TELL_S = 1.0
KEPT_LOG_BYTES = 1 << 20
# From which on pip knows the tags manylinux_2_N.
OLDEST_PIP = (20, 3)
SYSTEM_WHEELS = Path("/usr/share/python-wheels")
NO_ROOM = ("no space left on device", "disk quota exceeded")
NO_WHEEL = re.compile(r"No matching distribution found for ([^\s(]+)")

_USER_INFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/@]*@")
_SECRET = re.compile(r"(?i)\b(token|password|passwd|secret|auth|key)=[^\s&]+")


def masked(line: str) -> str:
    """Without the credentials that an index's address may hold."""
    return _SECRET.sub(r"\1=***", _USER_INFO.sub(r"\1***@", line))


class Pip:
    """`place` is a folder for its log and for what it unpacks: the machine's /tmp may be small."""

    def __init__(self, run: Run, place: Path) -> None:
        self._run = run
        self._log = place / "pip.log"
        self._work = place / "tmp"

    def has_registry(self, pip: List[str]) -> bool:
        """Whether pip, configured as it is on this machine, gets something. Bounded: a firewall that is silent is a no.

        Raises Failure provision.disk_full: without room nothing comes, whoever would send it.
        """
        self._renew()
        target = self._work / "probe"
        lines: List[str] = []
        try:
            words = pip + ["download", "--no-deps", "--dest", str(target)] + list(PROBE_OPTIONS) + [PROBE]
            code = self._call(words, PROBE_S, lines)
            failure = self._failure(code, lines)
            if code != 0 and failure.code == "provision.disk_full":
                raise failure
            return code == 0
        finally:
            shutil.rmtree(str(self._work), ignore_errors=True)

    def renew_itself(self, python: Interpreter, wheels: Optional[Path]) -> None:
        """One that is too old does not know the wheels of today. Raises as `install`."""
        seen = look(python.command)
        own = seen.packages.get("pip") if seen is not None else None
        if own is not None and release(own.version) < OLDEST_PIP and (wheels is None or wheels_in([wheels])):
            self.install(python, Group(["pip>=%d.%d" % OLDEST_PIP]), [], wheels)

    def install(self, python: Interpreter, group: Group, constraints: List[str], wheels: Optional[Path]) -> None:
        """Raises Failure provision.disk_full, provision.no_wheel {package}, provision.pip {exit}."""
        self._renew()
        kept = self._work / "constraints.txt"
        kept.write_text("".join(line + "\n" for line in constraints), encoding="utf-8")
        words = [python.command, "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
        if group.deps:
            words += ["--constraint", str(kept)]
        else:
            words += ["--no-deps", "--ignore-installed"]
        if wheels is not None:
            words += ["--no-index", "--find-links", str(wheels), "--only-binary", ":all:"]
        self._carry_out(words + group.lines, python)

    def _carry_out(self, words: List[str], python: Interpreter) -> None:
        lines: List[str] = []
        os.makedirs(str(self._work), exist_ok=True)
        try:
            code = self._call(words, None, lines, _Counted(self._run, Path(python.purelib)))
        finally:
            shutil.rmtree(str(self._work), ignore_errors=True)
        if code != 0:
            raise self._failure(code, lines)

    def _failure(self, code: int, lines: List[str]) -> Failure:
        text = "\n".join(lines)
        if any(words in text.lower() for words in NO_ROOM):
            return Failure("provision.disk_full", path=str(self._run.root))
        missing = NO_WHEEL.search(text)
        if missing is not None:
            return Failure("provision.no_wheel", package=missing.group(1))
        return Failure("provision.pip", exit=code, log=str(self._log))

    def _renew(self) -> None:
        shutil.rmtree(str(self._work), ignore_errors=True)
        os.makedirs(str(self._work))

    def _call(self, words: List[str], limit_s: Optional[float], lines: List[str],
              hear: Callable[[Optional[str]], None] = lambda line: None) -> int:
        """pip's exit code, or that of a KILL; each line goes to its log and to the run's output."""
        settings = environment(TMPDIR=str(self._work), **NOT_ELSEWHERE)
        for name in DROPPED:
            settings.pop(name, None)
        if self._log.exists() and self._log.stat().st_size > KEPT_LOG_BYTES:
            os.replace(str(self._log), str(self._log) + ".1")
        descriptor = os.open(str(self._log), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                   cwd="/", env=settings)
        assert process.stdout is not None
        until = None if limit_s is None else time.monotonic() + limit_s
        rest = b""
        try:
            with os.fdopen(descriptor, "a", encoding="utf-8", errors="replace") as log:
                while True:
                    if until is not None and time.monotonic() > until:
                        return -signal.SIGKILL
                    if not select.select([process.stdout], [], [], TELL_S)[0]:
                        hear(None)
                        continue
                    data = os.read(process.stdout.fileno(), 1 << 16)
                    rest += data
                    *whole, rest = rest.split(b"\n") if data else [rest, b""]
                    for said in [masked(line.decode("utf-8", "replace").rstrip()) for line in whole if line.strip()]:
                        lines.append(said)
                        _write(log, said)
                        hear(said)
                    if not data:
                        return process.wait()
        finally:
            if process.poll() is None:
                process.kill()
            process.stdout.close()
            process.wait()


def _write(log: "object", line: str) -> None:
    """A full disk is told by pip itself; its log is no reason to end it."""
    for stream in (log, None):
        try:
            print(line, file=stream, flush=True)  # type: ignore[call-overload]
        except OSError:
            pass


class _Counted:
    """What pip says, as the events `progress`: packages found, then packages put in place."""

    def __init__(self, run: Run, folder: Path) -> None:
        self._run = run
        self._folder = folder
        self._fetched = 0
        self._total = 0
        self._before = 0
        self._done = -1

    def __call__(self, line: Optional[str]) -> None:
        if line is None:
            self._look()
            return
        words = line.strip()
        if words.startswith(("Collecting ", "Processing ")):
            self._fetched += 1
            self._run.progress("provision.fetching", self._fetched, None, "packages")
        elif words.startswith("Installing collected packages:"):
            self._total = len(words.partition(":")[2].split(","))
            self._before = self._count()
            self._look()
        elif words.startswith("Successfully installed"):
            self._run.progress("provision.installing", self._total, self._total, "packages")

    def _look(self) -> None:
        if not self._total:
            return
        done = max(0, min(self._total - 1, self._count() - self._before))
        if done != self._done:
            self._done = done
            self._run.progress("provision.installing", done, self._total, "packages")

    def _count(self) -> int:
        try:
            return sum(name.endswith(".dist-info") for name in os.listdir(str(self._folder)))
        except OSError:
            return 0


def bootstrap(python: Interpreter, wheel: str) -> None:
    """pip into an environment that has none: its wheel is a zip file of nothing but Python. Raises OSError."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(("pip/", "pip-")) and ".." not in name.split("/")]
        archive.extractall(python.purelib, names)


def has_pip(python: Interpreter) -> bool:
    """In the environment itself."""
    return "pip" in python.packages and python.own(python.packages["pip"]) and python.packages["pip"].whole


def wheels_in(folders: List[Path]) -> List[str]:
    """pip's own wheels."""
    return [str(path) for folder in folders if folder.is_dir() for path in sorted(folder.glob("pip-*.whl"))]


def wheel_of_pip(python: Interpreter, sent: Optional[Path]) -> Optional[str]:
    """A wheel from which pip can be installed: the laptop's, the interpreter's own, or the one that Debian keeps."""
    found = wheels_in([sent] if sent is not None else []) + python.bundled + wheels_in([SYSTEM_WHEELS])
    return next((one for one in found if _readable(one)), None)


def _readable(path: str) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.startswith("pip/") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False
