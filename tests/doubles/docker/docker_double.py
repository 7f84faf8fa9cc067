"""Stands in for the command `docker` and its daemon: words, exit codes and ways to die of Docker 20.10, as far as used.

    PYTHON docker_double.py STATE words...

The folder STATE has `images.json` {name: {"python": interpreter, "env": {...}}}, `containers/`, `asked.jsonl` with the words of
each call, and a file for each trouble: `no_permission`, `no_daemon`, `no_nvidia`, `hangs_before_start`. A container is a plain
process here: what it may see is looked up in its mounts only for what it is told to run and where. As with Docker, the client
is not its parent, its environment is the image's and what --env says, and when its command ends, all that it started is killed.
"""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

FLAGS = {"--detach", "--rm"}
OPTIONS = {"--name", "--label", "--runtime", "--network", "--user", "--group-add", "--device", "--mount", "--env",
           "--workdir"}
MARK = "DOCKER_DOUBLE_CONTAINER"
SOCKET = "unix:///var/run/docker.sock"


def fail(text: str, code: int = 1) -> NoReturn:
    sys.stderr.write(text + "\n")
    raise SystemExit(code)


class Daemon:
    def __init__(self, state: Path) -> None:
        self.state = state
        self.containers = state / "containers"
        self.containers.mkdir(exist_ok=True)

    def images(self) -> dict[str, Any]:
        return json.loads((self.state / "images.json").read_text())

    def look(self, name: str) -> dict[str, Any] | None:
        try:
            return json.loads((self.containers / f"{name}.json").read_text())
        except FileNotFoundError:
            return None

    def note(self, name: str, **fields: Any) -> None:
        path = self.containers / f"{name}.json"
        new = self.containers / f".{name}.{os.getpid()}"
        new.write_text(json.dumps({**(self.look(name) or {}), **fields}))
        new.rename(path)

    def forget(self, name: str) -> None:
        (self.containers / f"{name}.json").unlink(missing_ok=True)

    def kill_all(self, name: str) -> None:
        """As a runtime does with the container's control group."""
        wanted = f"{MARK}={name}".encode()
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue


def run(daemon: Daemon, words: list[str]) -> None:
    given: dict[str, list[str]] = {}
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option in FLAGS:
            given[option] = []
        elif option in OPTIONS:
            given.setdefault(option, []).append(words.pop(0))
        else:
            fail(f"unknown flag: {option}\nSee 'docker run --help'.", 125)
    assert set(FLAGS) <= set(given), "this double knows containers only that are detached and remove themselves"
    image, command = words[0], words[1:]
    known = daemon.images().get(image)
    if known is None:
        (daemon.state / "pulled").touch()
        fail(f"Unable to find image '{image}' locally\ndocker: Error response from daemon: pull access denied.", 125)
    name = given["--name"][0]
    refuse = check(daemon, name, given)
    if refuse:
        fail(f"docker: Error response from daemon: {refuse}.\nSee 'docker run --help'.", 125)
    mounts = [mount(text) for text in given.get("--mount", [])]
    daemon.note(name, status="created", label=given["--label"][0], mounts=mounts)
    while (daemon.state / "hangs_before_start").exists():
        time.sleep(0.02)
    environment = {"PATH": "/usr/bin:/bin", **known["env"], MARK: name, "AI_NANO_TEST": os.environ.get("AI_NANO_TEST", "")}
    environment.update(text.split("=", 1) for text in given.get("--env", []))
    visible = [target for _, target in mounts]
    for path in [given["--workdir"][0], *(word for word in command if word.startswith("/"))]:
        if not any(path == target or path.startswith(target + "/") for target in visible):
            command = ["python3", "-c", f"raise SystemExit({path!r} + ': No such file or directory')"]
    if shutil.which(command[0]) is None and command[0] != "python3":
        daemon.forget(name)
        fail(f'docker: Error response from daemon: exec: "{command[0]}": executable file not found in $PATH.', 127)
    launch(daemon, name, [known["python"], *command[1:]], given["--workdir"][0], environment)
    print("0123456789abcdef")


def check(daemon: Daemon, name: str, given: dict[str, list[str]]) -> str | None:
    """What the daemon has against it."""
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", name):
        return f"Invalid container name ({name})"
    if daemon.look(name) is not None:
        return f'Conflict. The container name "/{name}" is already in use'
    if given.get("--runtime") == ["nvidia"] and (daemon.state / "no_nvidia").exists():
        return "Unknown runtime specified nvidia"
    if given.get("--user") != [f"{os.getuid()}:{os.getgid()}"]:
        return f"the double runs as this user alone, not as {given.get('--user')}"
    for device in given.get("--device", []):
        if not os.path.exists(device):
            return f'error gathering device information while adding custom device "{device}": no such file or directory'
    for text in given.get("--mount", []):
        source, target = mount(text)
        if not target.startswith("/") or not os.path.exists(source):
            return f'invalid mount config for type "bind": bind source path does not exist: {source}'
    return None


def mount(text: str) -> tuple[str, str]:
    [fields] = csv.reader([text])
    known = dict(field.partition("=")[::2] for field in fields)
    assert known.pop("type") == "bind" and known.pop("readonly", "") == "" and set(known) == {"source", "target"}, text
    return known["source"], known["target"]


def launch(daemon: Daemon, name: str, command: list[str], folder: str, environment: dict[str, str]) -> None:
    """Returns once it runs; what waits for its end belongs to nobody."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.close(reader)
            null = os.open(os.devnull, os.O_RDWR)
            with open(daemon.containers / f"{name}.log", "ab") as log:
                process = subprocess.Popen(command, cwd=folder, env=environment, stdin=null, stdout=log, stderr=log,
                                           start_new_session=True)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            daemon.note(name, status="running", pid=process.pid)
            os.close(writer)
            process.wait()
            daemon.kill_all(name)
            daemon.forget(name)
        os._exit(0)
    os.close(writer)
    os.wait()
    os.read(reader, 1)


def remove(daemon: Daemon, name: str) -> None:
    container = daemon.look(name)
    if container is None:
        fail(f"Error: No such container: {name}")
    if container["status"] == "created":
        daemon.forget(name)
    else:
        daemon.kill_all(name)
        while daemon.look(name) is not None:
            time.sleep(0.01)
    print(name)


def main(state: Path, words: list[str]) -> None:
    daemon = Daemon(state)
    with open(state / "asked.jsonl", "a") as stream:
        stream.write(json.dumps(words) + "\n")
    if (state / "no_permission").exists():
        fail(f"Got permission denied while trying to connect to the Docker daemon socket at {SOCKET}: Get "
             '"http://%2Fvar%2Frun%2Fdocker.sock/v1.24/info": dial unix /var/run/docker.sock: connect: permission denied')
    if (state / "no_daemon").exists():
        fail(f"Cannot connect to the Docker daemon at {SOCKET}. Is the docker daemon running?")
    if words[0] == "run":
        run(daemon, words[1:])
    elif words[:2] == ["image", "inspect"] and words[2:4] == ["--format", "{{.Id}}"]:
        if words[4] not in daemon.images():
            print()
            fail(f"Error: No such image: {words[4]}")
        print("sha256:0123")
    elif words[:2] == ["container", "inspect"] and words[2:4] == ["--format", "{{.State.Running}}"]:
        container = daemon.look(words[4])
        if container is None:
            print()
            fail(f"Error: No such container: {words[4]}")
        print(json.dumps(container["status"] == "running"))
    elif words[:2] == ["rm", "--force"]:
        remove(daemon, words[2])
    elif words == ["ps", "--all", "--filter", "label=ai_nano", "--filter", "status=created", "--format",
                   '{{.Names}} {{.Label "ai_nano"}}']:
        for path in daemon.containers.glob("*.json"):
            container = daemon.look(path.stem) or {}
            if container.get("status") == "created":
                print(path.stem, container["label"].partition("=")[2])
    else:
        fail(f"docker: '{words[0]}' is not a docker command.\nSee 'docker --help'")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
