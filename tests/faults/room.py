"""A room for one run: a laptop, a GPU server and a Nano, each machine behind a link, and what must hold at the end."""

import contextlib
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from laptops import Broken, Laptop, dataset, hashes, must, names, pictures, receipt, sha256
from processes import command
from ssh_servers import make_key

from ai_nano.demo.classroom import nano_python
from tests.faults.machines import Embedded, Machine, OpenSsh, end_all, processes_of

# What a run leaves on the machines has ended by then: a lease is 5 s, a receiver ends with its connection.
LEFT_S = 25.0
CLASSES = ("cat", "Rubik's cube", "日本")
CARDS = ("cat", "coffee", "rocket")
IMAGES = 12
SHOWN = 16
WORKSPACE = "w"


class Template:
    """The laptop's folder before step 3: config apart, the same for all runs, and made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        laptop = Laptop(folder)
        pictures(folder / "show", "rocket", "show", SHOWN)
        # For a classification that lasts.
        (folder / "long").mkdir()
        shown = sorted((folder / "show").iterdir())
        for number in range(400):
            os.link(shown[number % len(shown)], folder / "long" / f"{number:05d}.jpg")
        must(laptop.run("new", WORKSPACE, "--classes", ",".join(CLASSES)))
        for name, card in zip(CLASSES, CARDS, strict=True):
            pictures(folder / "pictures" / card, card, "record", IMAGES)
            must(laptop.run("import", WORKSPACE, "--class", name, str(folder / "pictures" / card)))
        shutil.rmtree(folder / "pictures")

    def remove(self) -> None:
        shutil.rmtree(self.folder)


@dataclass
class Room:
    """Use with `with`; on leaving, everything that was started has ended."""

    folder: Path
    template: Template
    nano_embedded: bool = False
    transfer: str = "auto"
    clock_off_s: int = 0
    small_disk: str = ""  # the machine that has one
    laptop: Laptop = field(init=False)
    server: Machine = field(init=False)
    nano: Machine = field(init=False)

    def __enter__(self) -> "Room":
        self.folder.mkdir(parents=True)
        key = self.folder / "key"
        authorized = self.folder / "authorized_keys"
        authorized.write_text(make_key(key) + "\n")
        with contextlib.ExitStack() as stack:
            stack.callback(self._end_leftovers)
            self.server = OpenSsh("DL", self.folder / "DL", sys.executable, authorized)
            kind = Embedded if self.nano_embedded else OpenSsh
            self.nano = kind("nano1", self.folder / "nano1", nano_python(), authorized)
            for machine in self.machines:
                stack.enter_context(machine)
                if self.small_disk == machine.name:
                    machine.mount_small_disk()
                if self.clock_off_s:
                    machine.set_clock_off(self.clock_off_s)
            self.laptop = self.new_laptop("laptop")
            self.images = hashes(self.laptop.workspace / "images")
            self._all = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._all.close()

    @property
    def machines(self) -> tuple[Machine, Machine]:
        return self.server, self.nano

    def new_laptop(self, name: str) -> Laptop:
        """With a copy of the template's workspace, and the room's config."""
        folder = self.folder / name
        shutil.copytree(self.template.folder, folder)
        server, nano = ({"ip": machine.link.host, "port": machine.link.port, "login": machine.user,
                         "key_file": str(self.folder / "key"), "root": str(machine.root), "python": machine.python}
                        for machine in self.machines)
        document = {"DL_server": {"name": "DL", **server, "transfer": self.transfer},
                    "jetson_nano": [{"name": "nano1", **nano, "engine": "onnxruntime", "leds": "file", "pins": [7, 11, 40],
                                     "camera": (folder / "long").as_uri()}], "student": "ada@lab"}
        config = folder / "config.json"
        config.write_text(json.dumps(document))
        config.chmod(0o600)
        return Laptop(folder)

    # ---- what must hold at the end -----------------------------------------------------------------------------------

    def check(self, laptops: list[Laptop]) -> None:
        """Broken with all that is wrong."""
        problems = []
        for laptop in laptops:
            problems += self._lost_on(laptop)
        problems += self._on_server(laptops) + self._on_nano() + self._infer() + self._jobs()
        if problems:
            raise Broken("; ".join(problems))

    def take_in(self) -> None:
        """An import is done: what was there still is, and what came is whole. Broken."""
        folder = self.laptop.workspace / "images"
        now = hashes(folder)
        if not self.images.items() <= now.items():
            raise Broken(f"the import changed {sorted(set(self.images.items()) - set(now.items()))}")
        new = sorted(set(now) - set(self.images))
        half = [name for name in new if not (folder / name).read_bytes().endswith(b"\xff\xd9")]
        if half or len(new) < SHOWN:
            raise Broken(f"the import left {len(new)} images, of these half: {half}")
        self.images = now

    def let_go(self) -> None:
        """All links end, also what was lost unseen; then nothing of the run may be running on the machines. Broken."""
        for machine in self.machines:
            machine.close_link()
        own: set[int] = set().union(*(machine.own_processes for machine in self.machines))
        deadline = time.monotonic() + LEFT_S
        while left := [pid for pid in processes_of(self.folder) if pid not in own]:
            if time.monotonic() > deadline:
                raise Broken(f"left running: {[command(pid)[:160] for pid in left]}")
            time.sleep(0.1)

    def _lost_on(self, laptop: Laptop) -> list[str]:
        now = hashes(laptop.workspace / "images")
        return [] if now == self.images else [f"images of {laptop.folder.name} differ: {set(now) ^ set(self.images)}"]

    def _on_server(self, laptops: list[Laptop]) -> list[str]:
        """All models that are listed have a whole data set; each laptop's own is what it sent."""
        problems = []
        listed = names(self.laptop.run("models"))
        sent = {str(receipt(laptop, "upload")["model"]): dataset(laptop.workspace) for laptop in laptops}
        trained = str(receipt(self.laptop, "train")["model"])
        for model in {*listed, *sent, trained}:
            there = dataset(self.server.root / "models" / model)
            # What nobody knows to be his is at least as whole as any.
            if there not in sent.values() or (model in sent and there != sent[model]):
                problems.append(f"models/{model} on the server is not what was sent: {len(there)} files")
        if set(sent) - set(listed):
            problems.append(f"the server lists {listed}, not {list(sent)}")
        if len(sent) != len(laptops):
            problems.append("two laptops have one model")
        return problems

    def _on_nano(self) -> list[str]:
        model = str(receipt(self.laptop, "deploy")["model"])
        files = ("model.onnx", "labels.txt", "bundle.json")
        here = [sha256(self.laptop.workspace / "models" / model / name) for name in files]
        problems = []
        for listed in names(self.laptop.run("models", "--nano", "nano1")):
            folder = self.nano.root / "models" / listed
            told = json.loads((folder / "bundle.json").read_text())["sha256"] if (folder / "bundle.json").exists() else {}
            if listed != model or {name: sha256(folder / name) for name in told} != told or not told:
                problems.append(f"models/{listed} on the Nano is not whole, or nobody's")
        if [sha256(self.nano.root / "models" / model / name) for name in files] != here:
            problems.append("the model on the Nano is not the laptop's")
        if sha256(self.server.root / "models" / model / "model.onnx") != here[0]:
            problems.append("the model on the server is not the laptop's")
        return problems

    def _infer(self) -> list[str]:
        tried = self.laptop.run("infer", WORKSPACE, "--frames", "5")
        seen = sum(line["type"] == "prediction" for line in tried.lines)
        return [] if (tried.code, seen) == (0, 5) else [f"infer ends with {tried.code} {tried.error}, {seen} predictions"]

    def _jobs(self) -> list[str]:
        tried = self.laptop.run("jobs")
        running = [job["id"] for job in tried.lines[-1].get("jobs", []) if job["state"] == "running"]
        return [f"still running: {running}"] if running or tried.code else []

    def _end_leftovers(self) -> None:
        end_all(processes_of(self.folder))
