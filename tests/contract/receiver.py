"""A laptop's side of transfer.py, which keeps to the rules or does not."""

import hashlib
import io
import json
import os
import select
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from machine import DEADLINE_S, Machine, Message, hang_up

OWNER = "0123456789abcdef"
MTIME = 1_700_000_000


def member(name: str, data: bytes, digest: str | None = None, **fields: Any) -> bytes:
    """One file of an archive, with its padding and without the archive's end."""
    info = tarfile.TarInfo(f"{name}.{hashlib.sha256(data).hexdigest() if digest is None else digest}")
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(data))
        end = archive.offset
    return out.getvalue()[:end]


END = b"\0" * 1024


@contextmanager
def models_on_another_disk(machine: Machine) -> Iterator[Path]:
    """`models` is a link to a folder there, which is given."""
    machine.root.mkdir()
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == machine.root.stat().st_dev:
        pytest.skip("there is no other disk")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        (machine.root / "models").symlink_to(folder)
        yield Path(folder)


def before_each_program(machine: Machine, text: str) -> None:
    """The Python text runs in each program of this machine before the program does."""
    site = machine.home.parent / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(text, encoding="utf-8")
    machine.environment["PYTHONPATH"] = str(site)


def delete_while_it_is_listed(machine: Machine, model: str) -> None:
    """Somebody deletes the model just when a program of this machine lists its folder `train`."""
    before_each_program(machine, f"""
import os
scandir = os.scandir
def deleting(path="."):
    entries = scandir(path)
    parts = str(path).split("/")
    if parts[-3:] == ["models", {model!r}, "train"]:
        models = "/".join(parts[:-2])
        os.rename(models + "/" + {model!r}, models + "/.deleted-1-" + {model!r})
    return entries
os.scandir = deleting
""")


class Receiver:
    """A running `receive`."""

    def __init__(self, machine: Machine) -> None:
        self.process = subprocess.Popen(machine.command("transfer.py", "receive"), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=machine.environment, cwd="/", bufsize=0)
        self.files: dict[str, bytes] = {}
        self._buffer = b""

    def announce(self, contents: Mapping[str, bytes], **more: Any) -> Message:
        self.files = dict(contents)
        files = [[path, len(data), MTIME, None] for path, data in contents.items()]
        message = {"v": 1, "type": "parcel", "model": None, "stem": "ada-animals", "above": 0, "owner": OWNER, "like": [],
                   "replaces": False, "workspaces": [], "force": False, "spare": 0, "files": files, **more}
        self.write(json.dumps(message).encode() + b"\n")
        return message

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(data)
        except BrokenPipeError:
            pass  # it has seen enough

    def send_all(self, pause_s: float = 0.0) -> None:
        for number, data in enumerate(self.files.values()):
            self.write(member(str(number), data))
            time.sleep(pause_s)
        self.write(END)

    def read(self, type: str | None = None) -> Message:
        """The next message, of that type: what comes before is passed over. An `error` is never passed over."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + DEADLINE_S
        while True:
            while b"\n" in self._buffer:
                line, _, self._buffer = self._buffer.partition(b"\n")
                message: Message = json.loads(line)
                if type in (None, message["type"]) or message["type"] == "error":
                    return message
            assert select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0], "it says nothing"
            block = os.read(self.process.stdout.fileno(), 65536)
            assert block, "it has ended"
            self._buffer += block

    def close(self) -> int:
        return hang_up(self.process)
