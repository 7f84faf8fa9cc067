"""A small class: what `make soak` does with thirty laptops, with three."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from laptops import REPOSITORY, receipt
from processes import command, others

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "integration")]
from tests.soak.checks import problems  # noqa: E402
from tests.soak.figures import table, use  # noqa: E402
from tests.soak.lesson import Lesson, Training  # noqa: E402
from tests.soak.room import Room, owners  # noqa: E402
from tests.soak.run import Plan, soak  # noqa: E402

# Of one training's end and the next one's start: they are stamped by two processes, each a little after the fact.
STAMPED_S = 0.5


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.timeout(900)
def test_three_finish_on_slurm_and_nobody_has_anothers_files() -> None:
    """One login on two computers, a third that was cloned, one name for the project of all."""
    found: list[str] = []

    def spoil(lessons: list[Lesson], room: Room) -> None:
        """All was well; now it is not, and that is found."""
        _, one, other = lessons  # the last one is asked what is there
        picture = next((one.laptop.workspace / "images").rglob("*.jpg"))
        shutil.copy(picture, other.laptop.workspace / "images" / picture.parent.name / "strange.jpg")
        model = str(receipt(one.laptop, "export")["model"])
        with next((room.server.root / "models" / model / "train").rglob("*.jpg")).open("ab") as image:
            image.write(b"x")
        with (room.nano_of(one.owner).root / "models" / model / "model.onnx").open("ab") as network:
            network.write(b"x")
        (room.server.root / "models" / "nobody-001").mkdir()
        found.extend(problems(lessons, room))

    told = soak(Plan(3, 12, "slurm", nanos=2, spread_s=1.0, width=320), print, spoil)
    assert told.ok, table(told)
    assert len(told.trainings) == 3 and told.told["logins"] >= 9, table(told)
    turns = sorted((training.turn, training.ended) for training in told.trainings)
    side_by_side = [turn for (_, ended), (turn, _) in zip(turns, turns[1:], strict=False) if ended > turn + STAMPED_S]
    assert not side_by_side, "one GPU, one training"

    _, one, other = (str(owner) for owner in owners(3))
    expected = [(other, "its home changed"), (other, "images holds what is not its own"), ("nobody-001", "nobody's"),
                (one, "does not hold the images that were sent"), (one, "is not its own export")]
    assert len(found) == len(expected), "\n".join(found)
    assert [pair for pair in expected if not any(pair[0] in each and pair[1] in each for each in found)] == [], found


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """A soak of one laptop without Slurm, which leaves in `folder` what it leaves."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.Popen([sys.executable, "-m", "tests.soak", "--laptops", "1", "--scheduler", "direct", "--nanos", "1",
                             "--spread", "0", "--width", "320", *words], cwd=REPOSITORY, env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_what_fails_is_named_and_what_it_said_is_kept(tmp_path: Path) -> None:
    """Two images of a class are too few for a split."""
    process = start(tmp_path, "--images", "2")
    out, errors = process.communicate(timeout=200)
    told = json.loads(out.splitlines()[-1])
    assert process.returncode == 1 and not told["ok"] and told["finished"] == 0, errors
    assert told["failures"][0].startswith(f"{owners(1)[0]}: split: exit 4"), told
    assert [str(path) for path in tmp_path.iterdir()] == [told["kept"]]
    assert list(Path(told["kept"]).glob("laptop-00/*-split.out")) and list(Path(told["kept"]).glob("DL/server.log"))


def test_who_breaks_it_off_finds_nothing_left(tmp_path: Path) -> None:
    """While its training begins. Processes are looked for by the fixture of all tests, too."""
    process = start(tmp_path, "--images", "12")
    deadline = time.monotonic() + 200
    while not list(tmp_path.glob("*/DL/root/.ai_nano/runs/*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=200)
    assert (process.returncode, out) == (130, "") and "nothing of it is left" in errors
    assert list(tmp_path.iterdir()) == [] and not [pid for pid in others() if str(tmp_path) in command(pid)]


def test_who_had_the_gpu_and_who_waited() -> None:
    first, second = Training(asked=0.0, turn=1.0, began=3.0, ended=10.0), Training(asked=2.0, turn=12.0, began=13.0, ended=20.0)
    assert use([first, second]) == {"held_s": 17.0, "free_s": 3.0, "loading_s": 1.0}
    assert use([first]) == {"held_s": 9.0, "free_s": 1.0, "loading_s": 0.0}
