"""From the last photograph to the lit LED: split, upload, quick, export with its gate, deploy, the first right prediction.

    python -m tests.bench.journey [--images 600] [--rounds 3] [--first] [--cold] [--when]

In the embedded classroom, by the steps that `ai-nano run` starts, on two cores for everything: laptop, server, Nano and
stage. A card is before the Nano's camera from the start; the journey ends when the Nano's own file says that its LED, and no
other, is lit. Each round is a project of its own, over new connections, in a room where the programs have been before; --first
has never seen them. --cold: the server loads no libraries ahead. --when adds what was heard when. Prints Markdown.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ai_nano.core.events import Event, Log, Metric, Prediction, Progress
from ai_nano.core.lanes import Lanes
from ai_nano.core.project.workspace import Workspace
from ai_nano.demo.classroom import Classroom
from ai_nano.demo.journey import NobodyAsks
from ai_nano.demo.verdict import read_lines
from ai_nano.lab import Lab, build_lab, build_workflow
from ai_nano.steps import project
from ai_nano.steps.deploy import DeployOptions
from ai_nano.steps.export import ExportOptions
from ai_nano.steps.infer import InferOptions
from ai_nano.steps.split import SplitOptions
from ai_nano.steps.train import TrainOptions
from ai_nano.steps.upload import UploadOptions

CARDS = ("cat", "coffee", "rocket")
SHOWN, ITS_PIN = "coffee", 16
CORES = 2
GOAL_S = 20.0
TAKE = 30
QUALITY = 90
FIRST_LIGHT_S = 60.0
STEPS = (("split", SplitOptions()), ("upload", UploadOptions()), ("train", TrainOptions()), ("export", ExportOptions()),
         ("deploy", DeployOptions()))

_RENDER = """
import sys, cv2
from ai_nano.demo.stage_scene import Scene
cv2.setNumThreads(1)
card, first, count, take, quality, folder = sys.argv[1], *map(int, sys.argv[2:6]), sys.argv[6]
scene = None
for number in range(first, first + count):
    if scene is None or number % take == 0:
        scene = Scene(1, "record", number // take, card)
    cv2.imwrite(f"{folder}/{number:04d}.jpg", scene.frame(number % take), [cv2.IMWRITE_JPEG_QUALITY, quality])
"""


def render(folder: Path, images: int) -> None:
    """`folder/<card>/<number>.jpg`, as many of each card; frames of the stage in takes of 30, by two processes at a time."""
    each = images // len(CARDS)
    for card in CARDS:
        (folder / card).mkdir(parents=True)
        half = each // 2 // TAKE * TAKE
        parts = [(0, half), (half, each - half)]
        started = [subprocess.Popen([sys.executable, "-c", _RENDER, card, str(first), str(count), str(TAKE), str(QUALITY),
                                     str(folder / card)]) for first, count in parts]
        assert all(process.wait() == 0 for process in started)


class Round:
    """One journey; `took` in seconds by part, `heard` what was said when."""

    def __init__(self, classroom: Classroom, lab: Lab, workspace: Workspace) -> None:
        self._classroom, self._lanes = classroom, Lanes()
        self._workflow = build_workflow(workspace, lab, self._lanes)
        self.took: dict[str, float] = {}
        self.heard: list[tuple[float, str]] = []
        self._began = 0.0

    def go(self) -> None:
        """Raises what a step raises; AssertionError for an LED that stays dark."""
        try:
            self._began = time.monotonic()
            for step, options in STEPS:
                began = time.monotonic()
                self._workflow.start(step, options, self._hear).result()
                self.took[step] = time.monotonic() - began
            self.took["infer"] = self._until_it_is_lit()
        finally:
            self._lanes.close()

    @property
    def total(self) -> float:
        return sum(self.took.values())

    def _until_it_is_lit(self) -> float:
        before = len(read_lines(self._classroom.leds_file))
        began = time.monotonic()
        running = self._workflow.start("infer", InferOptions(), self._hear)
        try:
            while not self._lit(before):
                assert time.monotonic() - began < FIRST_LIGHT_S, "the LED stays dark"
                if running.future.done():
                    running.result()
                time.sleep(0.01)
            return time.monotonic() - began
        finally:
            running.cancel()
            running.result()

    def _lit(self, before: int) -> bool:
        """By the Nano's own file: exactly the pin of what is shown."""
        lit: set[int] = set()
        for line in read_lines(self._classroom.leds_file)[before:]:
            (lit.add if line["on"] else lit.discard)(line["pin"])
        return lit == {ITS_PIN}

    def _hear(self, event: Event) -> None:
        match event:
            case Progress(step, done, total, _, _, what):
                word = f"{step}: {what or 'progress'} {'begins' if done == 0 else 'ends' if done == total else ''}"
            case Log(code, raw=raw):
                word = f"log {code or raw.strip()}"
            case Metric():
                word = "metric"
            case Prediction(class_name=name):
                word = f"prediction {name}"
            case _:
                word = f"{json.dumps(event.to_json())[:100]}"
        if not self.heard or self.heard[-1][1] != word:
            self.heard.append((time.monotonic() - self._began, word))


@contextmanager
def lab_of(classroom: Classroom, folder: Path) -> Iterator[Lab]:
    lab = build_lab(classroom.config, NobodyAsks(), folder)
    try:
        yield lab
    finally:
        lab.close()


def new_project(folder: Path, pictures: Path) -> Workspace:
    """A workspace with all photographs, recorded in takes."""
    workspace = project.create(folder, project.ProjectOptions(CARDS, folder.name))
    for card in CARDS:
        for number, picture in enumerate(sorted((pictures / card).iterdir())):
            # Copies: a file that another project has uploaded would be hard-linked there.
            shutil.copy2(picture, workspace.image_folder(card) / picture.name)
            workspace.note_image({"class": card, "file": picture.name, "take": str(number // TAKE), "t": float(number)})
    return workspace


def measure(options: argparse.Namespace, folder: Path) -> list[Round]:
    render(folder / "pictures", options.images)
    rounds = []
    with Classroom(folder / "classroom") as classroom:
        if not options.first:
            with lab_of(classroom, folder) as lab:
                for machine in (lab.server, lab.nano(None)):
                    machine.store("free")
        for number in range(options.rounds):
            workspace = new_project(folder / f"project {number}", folder / "pictures")
            classroom.stage.show("nano", SHOWN, "show", number)
            with lab_of(classroom, folder) as lab:
                if options.cold:
                    lab.server.warm_up = lambda: None  # type: ignore[method-assign]
                one = Round(classroom, lab, workspace)
                one.go()
            rounds.append(one)
            print(f"round {number}: {one.total:.1f} s", file=sys.stderr, flush=True)
            if options.when:
                print("\n".join(f"{at:7.2f}  {word}" for at, word in one.heard), file=sys.stderr, flush=True)
    return rounds


def tell(rounds: Sequence[Round], options: argparse.Namespace) -> None:
    words = {"split": "split", "upload": "upload", "train": "train quick", "export": "export with its gate, model fetched",
             "deploy": "deploy", "infer": "infer, until the LED is lit"}
    room = "in a room that has never seen the programs" if options.first else "over new connections"
    room += ", nothing loaded ahead" if options.cold else ""
    print(f"\n{options.images} images of 1280x720, {len(CARDS)} classes, {CORES} cores, {room}; median (worst) of "
          f"{len(rounds)}, in seconds:\n\n| part | seconds |\n|---|---|")
    for part, word in words.items():
        times = [one.took[part] for one in rounds]
        print(f"| {word} | {statistics.median(times):.2f} ({max(times):.2f}) |")
    totals = [one.total for one in rounds]
    print(f"| load of the machine at the end | {os.getloadavg()[0]:.1f} |")
    median, worst = statistics.median(totals), max(totals)
    print(f"| from the last photograph to the lit LED (goal: {GOAL_S:.0f}) | {median:.2f} ({worst:.2f}) |")


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=600, help="in all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--first", action="store_true", help="the programs have to be sent as well")
    parser.add_argument("--cold", action="store_true", help="nothing is loaded ahead")
    parser.add_argument("--when", action="store_true", help="what was heard when")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = get_parser().parse_args(argv)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory() as name:
        tell(measure(options, Path(name)), options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
