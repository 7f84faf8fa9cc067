"""Stand-ins for systemctl, sudo, loginctl and crontab, with the words and exit codes of the real ones.

Started by wrappers on PATH as `PYTHON stand_in_commands.py STATE COMMAND words...`. The folder STATE has what they keep, and a
file for each thing that is otherwise on this machine: `user_bus`, `sudoers`, `polkit`, `lingering`, `no_cron_for_you`,
`no_crontab`.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn


def fail(text: str, code: int = 1) -> NoReturn:
    sys.stderr.write(text + "\n")
    raise SystemExit(code)


def systemctl(state: Path, words: list[str]) -> None:
    if words[0] == "--user":
        if not (state / "user_bus").exists():
            fail("Failed to connect to bus: No such file or directory")
        user_service(state, words[1], words[2:])
        return
    verb = words[-1]
    assert verb in ("poweroff", "reboot"), words
    if os.environ.get("STAND_IN_ROOT") or (state / "polkit").exists():
        with open(state / "switched", "a") as stream:
            stream.write(verb + "\n")
        return
    fail("Failed to power off system via logind: Interactive authentication required.")


def user_service(state: Path, verb: str, words: list[str]) -> None:
    folder = Path(os.environ["HOME"]) / ".config" / "systemd" / "user"
    loaded = state / "loaded"
    loaded.mkdir(exist_ok=True)
    if verb == "show-environment":
        return
    if verb == "daemon-reload":
        for old in loaded.iterdir():
            old.unlink()
        for unit in folder.glob("*.service"):
            (loaded / unit.name).write_bytes(unit.read_bytes())
        return
    name = words[-1]
    wants, pid_file = folder / "default.target.wants" / name, state / (name + ".pid")
    if verb == "enable":
        if not (loaded / name).exists():
            fail(f"Failed to enable unit: Unit file {name} does not exist.")
        wants.parent.mkdir(exist_ok=True)
        wants.unlink(missing_ok=True)
        wants.symlink_to(folder / name)
    elif verb == "restart":
        assert (loaded / name).exists()
        end(pid_file)
        line = next(line for line in (loaded / name).read_text().splitlines() if line.startswith("ExecStart="))
        # A service gets nothing of the environment of who starts it (but for what the tests need).
        environment = {name: os.environ[name] for name in ("HOME", "AI_NANO_TEST", "PYTHONPATH") if name in os.environ}
        process = subprocess.Popen(exec_start(line[len("ExecStart="):]), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True, cwd="/",
                                   env={**environment, "PATH": "/usr/bin:/bin"})
        pid_file.write_text(str(process.pid))
    elif verb == "disable":
        if not (loaded / name).exists():
            fail(f"Failed to disable unit: Unit file {name} does not exist.")
        wants.unlink(missing_ok=True)
        end(pid_file)
    elif verb == "reset-failed":
        if not (loaded / name).exists():
            fail(f"Failed to reset failed state of unit {name}: Unit {name} not loaded.")
    else:
        fail(f"Unknown command verb {verb}.")


def exec_start(text: str) -> list[str]:
    """Quoted words as systemd.syntax(7) and systemd.service(5) have them: escapes, then %% and $$."""
    words = re.findall(r'"((?:[^"\\]|\\.)*)"', text)
    assert words and " ".join(f'"{word}"' for word in words) == text, text
    plain = [re.sub(r"\\(.)", r"\1", word) for word in words]
    assert not any(re.search(r"(?<!%)(%%)*%(?!%)", word) for word in plain), "a specifier"
    return [word.replace("%%", "%").replace("$$", "$") for word in plain]


def end(pid_file: Path) -> None:
    """TERM, as `systemctl stop` does, which returns once the process has ended."""
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    try:
        os.kill(pid, signal.SIGTERM)
        for _ in range(1000):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                break
            time.sleep(0.02)
    except (ProcessLookupError, FileNotFoundError):
        pass
    pid_file.unlink()


def sudo(state: Path, words: list[str]) -> None:
    assert words[0] == "-n", "it must never ask"
    if not (state / "sudoers").exists():
        fail("sudo: a password is required")
    os.environ["STAND_IN_ROOT"] = "1"
    os.execv(words[1], words[1:])


def loginctl(state: Path, words: list[str]) -> None:
    if "enable-linger" in words:
        fail("Could not enable linger: Interactive authentication required.")
    assert words[0] == "show-user", words
    print("Linger=" + ("yes" if (state / "lingering").exists() else "no"))


def crontab(state: Path, words: list[str]) -> None:
    """Debian's cron 3.0pl1."""
    if (state / "no_crontab").exists():
        raise SystemExit(127)
    if (state / "no_cron_for_you").exists():
        fail("You (nano) are not allowed to use this program (crontab)\nSee crontab(1) for more information")
    table = state / "crontab"
    if words == ["-"]:
        text = sys.stdin.buffer.read()
        if text and not text.endswith(b"\n"):
            fail('new crontab file is missing newline before EOF, can\'t install.')
        table.write_bytes(text)
    elif not table.exists():
        fail("no crontab for nano")
    elif words == ["-l"]:
        sys.stdout.buffer.write(table.read_bytes())
    elif words == ["-r"]:
        table.unlink()
    else:
        fail(f"crontab: usage error: {words}")


if __name__ == "__main__":
    command = {"systemctl": systemctl, "sudo": sudo, "loginctl": loginctl, "crontab": crontab}[sys.argv[2]]
    command(Path(sys.argv[1]), sys.argv[3:])
