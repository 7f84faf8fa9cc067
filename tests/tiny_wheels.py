"""Wheels of a few bytes, and an interpreter of its own for an account that has nothing else."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import sys
import sysconfig
import zipfile
from pathlib import Path

# What a bare account does not need of the standard library.
_LEFT_OUT = ("site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3")


def make_wheel(folder: Path, name: str, version: str, needs: tuple[str, ...] = (), code: str = "",
               tag: str = "py3-none-any") -> Path:
    """A wheel whose one module has that code; `needs` are lines of Requires-Dist."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {line}" for line in needs)]
    files = {f"{module}/__init__.py": f"__version__ = {version!r}\n{code}\n", f"{info}/METADATA": "\n".join(metadata) + "\n",
             f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n"}
    lines = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(text.encode())}\n")
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{module}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "".join(lines) + f"{info}/RECORD,,\n")
    return wheel


def put(wheel: Path, site: Path) -> None:
    """As if it had been installed there."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)


def link_file(source: str | Path, target: str | Path) -> str:
    """A hard link, or a copy where the file system has none across folders."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return str(target)


def link_tree(source: Path, target: Path, *left_out: str) -> None:
    shutil.copytree(source, target, copy_function=link_file, dirs_exist_ok=True, symlinks=True,
                    ignore=lambda folder, names: [name for name in names if name in left_out])


def own_python(prefix: Path, *without: str) -> Path:
    """An interpreter in a folder of its own, with the standard library of the tests' one except `without`, and no packages."""
    short = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    library = Path(sysconfig.get_path("stdlib"))
    (prefix / "bin").mkdir(parents=True)
    link_tree(library, prefix / "lib" / short, *_LEFT_OUT, *without)
    (prefix / "lib" / short / "site-packages").mkdir(exist_ok=True)
    # A copy: a link would lead back to the interpreter's home.
    shutil.copy2(os.path.realpath(sys.executable), prefix / "bin" / "python3")
    shared = sysconfig.get_config_var("LDLIBRARY")
    if sysconfig.get_config_var("Py_ENABLE_SHARED") and shared:
        for path in Path(sysconfig.get_config_var("LIBDIR")).glob(f"{shared}*"):
            shutil.copy2(path, prefix / "lib")
    return prefix / "bin" / "python3"


def site_of(prefix: Path) -> Path:
    return prefix / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
