"""The interpreters of a machine, and which packages each of them sees and has whole."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

ASK_S = 60.0
# The first start of PyTorch on a slow disk.
IMPORT_S = 300.0
NEWEST_MINOR = 14
# Where people have an interpreter of their own, relative to the login's home; then what machines have for everybody.
OWN_PREFIXES = ("miniforge3", "mambaforge", "miniconda3", "anaconda3", ".venv", "venv", "env", "pytorch")
PREFIXES = ("/opt/conda", "/opt/miniforge3", "/opt/miniconda3", "/opt/venv", "/usr", "/usr/local")
# What would make an interpreter see packages that are not its own, or not write what pip compiles.
HIDDEN = ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")

# Asked of interpreters from 3.6 on; reads the folders themselves, since importlib.metadata came with 3.8. A distribution is
# damaged where a file of its RECORD is missing or has another size. Compiled files are made anew by Python itself.
_QUESTION = r"""
import csv, json, os, platform, re, sys, sysconfig
def whole(path):
    base = os.path.dirname(path)
    try:
        with open(os.path.join(path, "RECORD"), encoding="utf-8", newline="") as stream:
            lines = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    for line in lines:
        if len(line) < 3 or not line[2] or line[0].endswith(".pyc"):
            continue
        try:
            if os.stat(os.path.join(base, line[0])).st_size != int(line[2]):
                return False
        except (OSError, ValueError):
            return False
    return True
found = {}
for folder in sys.path:
    try:
        names = sorted(os.listdir(folder or "."))
    except OSError:
        continue
    for name in names:
        match = re.match(r"(.+?)-(\d[^-]*)(?:-py\d.*)?\.(dist-info|egg-info)$", name)
        if match:
            key = re.sub(r"[-_.]+", "-", match.group(1)).lower()
            path = os.path.join(folder, name)
            if key not in found:
                found[key] = [match.group(2), path, match.group(3) == "egg-info" or whole(path)]
def has(name):
    try:
        __import__(name)
        return True
    except Exception:
        return False
bundled = []
if has("ensurepip"):
    bundled = sys.modules["ensurepip"].__path__[0]
    bundled = [os.path.join(bundled, "_bundled", one) for one in (os.listdir(os.path.join(bundled, "_bundled"))
               if os.path.isdir(os.path.join(bundled, "_bundled")) else []) if one.startswith("pip-")]
soabi = sysconfig.get_config_var("SOABI") or ""
print("\nai_nano: " + json.dumps({
    "version": list(sys.version_info[:3]), "executable": sys.executable, "prefix": sys.prefix,
    "base_prefix": sys.base_prefix, "purelib": sysconfig.get_path("purelib"), "platlib": sysconfig.get_path("platlib"),
    "machine": platform.machine(), "glibc": platform.libc_ver()[1], "cpython": platform.python_implementation() == "CPython",
    "abi": "m" if re.match(r"cpython-\d+m", soabi) else "", "venv": has("venv"), "bundled": bundled, "found": found}))
"""


class Package(NamedTuple):
    """A distribution that an interpreter sees: `path` is its folder of facts, `whole` false where files of it are missing, as
    far as pip has noted them (a distribution of the system's own packages has no such note)."""

    version: str
    path: str
    whole: bool


class Interpreter(NamedTuple):
    """What an interpreter says of itself. `bundled`: wheels of pip that it brings."""

    command: str
    version: Tuple[int, int, int]
    prefix: str
    base_prefix: str
    purelib: str
    platlib: str
    machine: str
    glibc: Tuple[int, int]
    abi: str
    has_venv: bool
    bundled: List[str]
    packages: Dict[str, Package]

    @property
    def short(self) -> str:
        """For example `3.11`."""
        return f"{self.version[0]}.{self.version[1]}"

    @property
    def tag(self) -> str:
        return f"cp{self.version[0]}{self.version[1]}"

    @property
    def is_environment(self) -> bool:
        """Whether it is a virtual environment, whose packages another environment does not inherit by itself."""
        return self.prefix != self.base_prefix

    def own(self, package: Package) -> bool:
        """Whether the package lies in this very environment."""
        return any(package.path.startswith(os.path.join(folder, "")) for folder in (self.purelib, self.platlib))


def environment(**more: str) -> Dict[str, str]:
    """That of the login, without what the program's own start added to it."""
    kept = {name: value for name, value in os.environ.items() if name not in HIDDEN}
    kept.update(more)
    return kept


def look(command: str) -> Optional[Interpreter]:
    """None for what is not there, does not start, or is not CPython 3."""
    try:
        done = subprocess.run([command, "-c", _QUESTION], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL, cwd="/", env=environment(), timeout=ASK_S)
        line = done.stdout.decode("utf-8", "replace").rpartition("\nai_nano: ")[2]
        told = json.loads(line) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    if not isinstance(told, dict) or not told.get("cpython"):
        return None
    return _interpreter(command, told)


def _interpreter(command: str, told: Dict[str, Any]) -> Interpreter:
    glibc = re.match(r"(\d+)\.(\d+)", told["glibc"])
    version = told["version"]
    return Interpreter(
        command, (version[0], version[1], version[2]), told["prefix"], told["base_prefix"], told["purelib"], told["platlib"],
        told["machine"], (int(glibc.group(1)), int(glibc.group(2))) if glibc else (2, 17), told["abi"], told["venv"],
        told["bundled"], {name: Package(*one) for name, one in told["found"].items()})


def candidates(named: Optional[str], oldest: Tuple[int, int]) -> List[Interpreter]:
    """The machine's interpreters from that version on: the one that config.json names first, then the login's `python3`."""
    words = [named] if named else []
    words += ["python3"] + [f"python3.{minor}" for minor in range(NEWEST_MINOR, 5, -1)]
    home = Path(os.path.expanduser("~"))
    words += [str(home / prefix / "bin" / "python3") for prefix in OWN_PREFIXES]
    words += [f"{prefix}/bin/python3" for prefix in PREFIXES]
    found: List[Interpreter] = []
    asked = set()
    for word in words:
        path = shutil.which(os.path.expanduser(word))
        if path is None or path in asked:
            continue
        asked.add(path)
        one = look(path)
        if one is not None and one.version[:2] >= oldest and all((one.prefix, one.version) != (each.prefix, each.version)
                                                                 for each in found):
            found.append(one)
    return found


def imports(command: str, module: str, more: str = "") -> Optional[str]:
    """None where the module really loads, else what was said last."""
    try:
        done = subprocess.run([command, "-c", f"import {module}\n{more}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, cwd="/", env=environment(), timeout=IMPORT_S)
    except subprocess.TimeoutExpired:
        return f"{module}: {IMPORT_S:.0f} s"
    except OSError as error:
        return error.strerror or str(error)
    if done.returncode == 0:
        return None
    lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else f"exit {done.returncode}"


def present(modules: Iterable[str], command: str) -> List[str]:
    """Which of the modules are found, without importing them."""
    code = "import importlib.util, sys\nfor name in sys.argv[1:]:\n    if importlib.util.find_spec(name): print(name)"
    done = subprocess.run([command, "-c", code, *modules], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          stdin=subprocess.DEVNULL, cwd="/", env=environment(), timeout=ASK_S)
    return done.stdout.decode("utf-8", "replace").split()
