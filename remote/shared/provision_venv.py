"""The environment ROOT/venv: a link to a folder that was built under a name of its own, so that it appears whole or not at all.

A virtual environment cannot be built aside and renamed: its scripts and its configuration name the folder in which it was
made. But a link to it can be renamed, and Python takes the environment from the path by which it was started. So each one is
built for good in ROOT/.ai_nano/venvs/<number>, and `venv` is turned to it at the end. What tells that it is whole is the file
`ai_nano.json` in it, written last; a folder without one is what a start that was ended left behind.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List, Optional

from shared.json_files import read, write_whole
from shared.provision_python import ASK_S, Interpreter, environment, look
from shared.wire import VERSION, Failure

MARKER = "ai_nano.json"


class Environments:
    """The environments of one ROOT. Only who holds the lock of provisioning changes anything."""

    def __init__(self, root: Path) -> None:
        self.link = root / "venv"
        self._home = root / ".ai_nano" / "venvs"

    def current(self) -> Optional[Interpreter]:
        """That of ROOT/venv, by its lasting path; None where there is none, or none that starts."""
        command = self.link / "bin" / "python"
        return look(str(self.folder() / "bin" / "python")) if os.path.lexists(str(command)) else None

    def folder(self) -> Path:
        return Path(os.path.realpath(str(self.link)))

    def marker(self) -> Optional[Dict[str, object]]:
        return read(self.folder() / MARKER)

    def make(self, base: Interpreter, inherits: bool) -> Interpreter:
        """A new one, without pip, that nobody sees yet. `inherits`: it sees the packages of `base`.

        Raises Failure provision.no_venv {package, python}, OSError.
        """
        os.makedirs(str(self._home), exist_ok=True)
        self.sweep()
        number = 1 + max([int(name) for name in os.listdir(str(self._home)) if name.isdigit()] or [0])
        folder = self._home / str(number)
        made = self._by_venv(folder, base, inherits) if base.has_venv else None
        if made is None:
            shutil.rmtree(str(folder), ignore_errors=True)
            made = self._by_hand(folder, base, inherits)
        if made is None:
            raise Failure("provision.no_venv", package=f"python{base.short}-venv", python=base.command)
        if inherits and base.is_environment:
            # It would inherit from the interpreter behind that environment, which has not these packages.
            names = list(dict.fromkeys((base.purelib, base.platlib)))
            Path(made.purelib, "ai_nano_inherited.pth").write_text("\n".join(names) + "\n", encoding="utf-8")
            made = look(made.command)
        assert made is not None
        return made

    def _by_venv(self, folder: Path, base: Interpreter, inherits: bool) -> Optional[Interpreter]:
        """Without pip: on Debian that half is a package of its own (python3-venv)."""
        words = [base.command, "-m", "venv", "--without-pip"] + (["--system-site-packages"] if inherits else []) + [str(folder)]
        try:
            done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                  cwd="/", env=environment(), timeout=ASK_S)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return look(str(folder / "bin" / "python")) if done.returncode == 0 else None

    def _by_hand(self, folder: Path, base: Interpreter, inherits: bool) -> Optional[Interpreter]:
        """What PEP 405 says that an environment is: a configuration beside a link to the interpreter."""
        interpreter = Path(os.path.realpath(base.command))
        os.makedirs(str(folder / "bin"))
        os.makedirs(str(folder / "lib" / f"python{base.short}" / "site-packages"))
        lines = [f"home = {interpreter.parent}", f"include-system-site-packages = {str(inherits).lower()}",
                 "version = " + ".".join(str(part) for part in base.version)]
        (folder / "pyvenv.cfg").write_text("\n".join(lines) + "\n", encoding="utf-8")
        for name in ("python", "python3"):
            os.symlink(str(interpreter), str(folder / "bin" / name))
        made = look(str(folder / "bin" / "python"))
        return made if made is not None and made.is_environment else None

    def note(self, python: Interpreter, requirements: List[str], base: Optional[str]) -> None:
        """The marker: from now on it counts as whole, with these packages of its own."""
        own = {name: each.version for name, each in python.packages.items() if python.own(each)}
        write_whole(Path(python.prefix) / MARKER, {"v": VERSION, "python": python.short, "requirements": requirements,
                                                   "base": base, "packages": own}, durable=True)

    def unnote(self) -> None:
        """It is about to be changed: until it is noted again, nobody takes it for whole."""
        try:
            os.unlink(str(self.folder() / MARKER))
        except FileNotFoundError:
            pass

    def show(self, python: Interpreter) -> None:
        """Turns ROOT/venv to it, at once. An environment that somebody made by hand there, and that does not start any more,
        is kept beside as venv.old."""
        if not self.link.is_symlink() and self.link.exists():
            old = self.link.with_name("venv.old")
            shutil.rmtree(str(old), ignore_errors=True)
            os.rename(str(self.link), str(old))
        new = self._home / "venv.new"
        if os.path.lexists(str(new)):
            os.unlink(str(new))
        os.symlink(os.path.join(".ai_nano", "venvs", Path(python.prefix).name), str(new))
        os.replace(str(new), str(self.link))

    def sweep(self) -> None:
        """Removes all but the one that is shown: what a start that was ended left, and what was shown before."""
        shown = self.folder()
        if self._home.is_dir():
            for path in self._home.iterdir():
                if path != shown and path.is_dir() and not path.is_symlink():
                    shutil.rmtree(str(path), ignore_errors=True)
