"""Commands of the operating system: what they answer, in English under any locale."""

import os
import pwd
import shutil
import subprocess
from typing import List, NamedTuple, Optional

TIMEOUT_S = 20.0
# What the embedded classroom's SSH server sets for every command: this "board" is somebody's computer.
EMBEDDED = "AI_NANO_EMBEDDED"


class Said(NamedTuple):
    """`code` is the exit code, 127 where there is no such command, 124 where it did not end."""

    code: int
    output: str
    errors: str

    @property
    def last_words(self) -> str:
        """One line for a person, the last that was said."""
        lines = (self.errors.strip() or self.output.strip()).splitlines()
        return lines[-1][:300] if lines else ""


def ask(words: List[str], text: Optional[str] = None, timeout_s: float = TIMEOUT_S) -> Said:
    """Runs a command with `text` as its standard input, and never asks anybody anything."""
    environment = dict(os.environ, LC_ALL="C", LANGUAGE="C", PATH=_path())
    runtime = f"/run/user/{os.getuid()}"
    if "XDG_RUNTIME_DIR" not in environment and os.path.isdir(runtime):
        environment["XDG_RUNTIME_DIR"] = runtime  # not every login by SSH sets it
    try:
        command = [shutil.which(words[0], path=environment["PATH"]) or words[0]] + words[1:]
        done = subprocess.run(command, input=(text or "").encode("utf-8", "surrogateescape"), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=environment, timeout=timeout_s)
    except (FileNotFoundError, PermissionError) as error:
        return Said(127, "", str(error))
    except subprocess.TimeoutExpired:
        return Said(124, "", f"{words[0]}: no answer")
    return Said(done.returncode, done.stdout.decode("utf-8", "surrogateescape"), done.stderr.decode("utf-8", "replace"))


def find(name: str) -> Optional[str]:
    """The command's path, for a line of sudoers. A login by SSH may lack the folders of the system's own commands."""
    return shutil.which(name, path=_path())


def _path() -> str:
    return os.pathsep.join(filter(None, [os.environ.get("PATH"), "/usr/bin", "/bin", "/usr/sbin", "/sbin"]))


def login() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def embedded() -> bool:
    return EMBEDDED in os.environ
