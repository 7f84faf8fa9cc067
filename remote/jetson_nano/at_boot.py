"""How a board starts the classification at boot: a user service of systemd, or a line of crontab where there is none."""

import hashlib
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import List, Optional

from jetson_nano import system
from shared import processes
from shared.wire import Failure

UNIT = """[Unit]
Description=ai_nano: classification from boot on, without a laptop

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=5
StandardOutput=null
StandardError=null

[Install]
WantedBy=default.target
"""


class Way:
    """`name` tells the ways apart on the wire. `command` is what is started; one ROOT has one start."""

    name = ""

    def __init__(self, root: Path, command: List[str]) -> None:
        self._mark = "ai_nano-" + hashlib.sha256(os.fsencode(str(root))).hexdigest()[:8]
        self._command = command

    def usable(self) -> bool:
        raise NotImplementedError

    def install(self) -> List[str]:
        """Starts it now, too. Returns codes of what a person has to do (`autostart.linger`, `autostart.no_cron`)."""
        raise NotImplementedError

    def installed(self) -> bool:
        raise NotImplementedError

    def remove(self) -> None:
        """Nothing of it is left."""
        raise NotImplementedError


class UserService(Way):
    """A unit in the login's own folder; it runs from boot on where the login lingers, else from the first login on."""

    name = "systemd"

    @property
    def _unit(self) -> str:
        return self._mark + ".service"

    @property
    def _file(self) -> Path:
        base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
        return Path(base) / "systemd" / "user" / self._unit

    def usable(self) -> bool:
        return _user("show-environment").code == 0

    def install(self) -> List[str]:
        os.makedirs(str(self._file.parent), exist_ok=True)
        self._file.write_bytes(UNIT.format(command=" ".join(map(_quoted, self._command))).encode("utf-8", "surrogateescape"))
        for words in (["daemon-reload"], ["enable", self._unit], ["restart", self._unit]):
            said = _user(*words)
            if said.code != 0:
                self.remove()
                raise Failure("autostart.systemd", error=said.last_words)
        return [] if self._lingers() else ["autostart.linger"]

    def installed(self) -> bool:
        return self._file.exists()

    def remove(self) -> None:
        _user("disable", "--now", self._unit)
        if self._file.exists():
            self._file.unlink()
        _user("daemon-reload")
        _user("reset-failed", self._unit)
        for folder in (self._file.parent / "default.target.wants", self._file.parent, self._file.parent.parent):
            _remove_empty(folder)

    def _lingers(self) -> bool:
        if _linger_is_on():
            return True
        system.ask(["loginctl", "--no-ask-password", "enable-linger"])
        return _linger_is_on()


class Crontab(Way):
    """A line that cron carries out at boot; the login's other lines stay as they are."""

    name = "cron"

    def usable(self) -> bool:
        return system.ask(["crontab", "-l"]).code != 127

    def install(self) -> List[str]:
        # In a crontab % ends the command, also between quotes.
        command = " ".join(map(shlex.quote, self._command)).replace("%", "\\%")
        lines = [line for line in self._lines() if not self._is_ours(line)]
        self._write(lines + [f"@reboot {command} >/dev/null 2>&1 # {self._mark}"])
        subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         cwd="/", start_new_session=True)
        return [] if _cron_runs() else ["autostart.no_cron"]

    def installed(self) -> bool:
        """A login that may not use cron has no line there."""
        if not self.usable():
            return False
        try:
            return any(map(self._is_ours, self._lines()))
        except Failure:
            return False

    def remove(self) -> None:
        if not self.usable():
            return
        lines = self._lines()
        left = [line for line in lines if not self._is_ours(line)]
        if left == lines:
            return
        if left:
            self._write(left)
        else:
            self._told(system.ask(["crontab", "-r"]))

    def _is_ours(self, line: str) -> bool:
        return line.endswith("# " + self._mark)

    def _lines(self) -> List[str]:
        """Raises Failure autostart.crontab {error}."""
        said = system.ask(["crontab", "-l"])
        if said.code != 0 and "no crontab for" in said.errors.lower():
            return []
        self._told(said)
        lines = said.output.split("\n")
        return lines[:-1] if lines[-1] == "" else lines

    def _write(self, lines: List[str]) -> None:
        self._told(system.ask(["crontab", "-"], "".join(line + "\n" for line in lines)))
        if self._lines() != lines:
            raise Failure("autostart.crontab", error="crontab -: not kept")

    def _told(self, said: system.Said) -> None:
        if said.code != 0:
            raise Failure("autostart.crontab", error=said.last_words)


def ways(root: Path, programs: Path) -> List[Way]:
    """In the order of preference. The programs are those of the autostart's own folder, which no other version removes."""
    command = [sys.executable, str(programs / "jetson_nano" / "autostart.py"), "--root", str(root)]
    return [UserService(root, command), Crontab(root, command)]


def choose(found: List[Way]) -> Way:
    """Raises Failure autostart.no_way."""
    for way in found:
        if way.usable():
            return way
    raise Failure("autostart.no_way")


def named(found: List[Way], name: str) -> Optional[Way]:
    return next((way for way in found if way.name == name), None)


def _user(*words: str) -> system.Said:
    return system.ask(["systemctl", "--user"] + list(words))


def _linger_is_on() -> bool:
    said = system.ask(["loginctl", "show-user", system.login(), "--property=Linger"])
    return said.code == 0 and said.output.strip() == "Linger=yes"


def _quoted(word: str) -> str:
    """For ExecStart (systemd.service(5), systemd.syntax(7))."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$") + '"'


def _cron_runs() -> bool:
    """Debian and Ubuntu call it cron, others crond."""
    for name in os.listdir(str(processes.PROC)):
        try:
            if name.isdigit() and (processes.PROC / name / "comm").read_bytes().strip() in (b"cron", b"crond"):
                return True
        except OSError:
            continue  # ended meanwhile
    return False


def _remove_empty(folder: Path) -> None:
    try:
        os.rmdir(str(folder))
    except OSError:
        pass
