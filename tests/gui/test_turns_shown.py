"""Steps 7 and 8 on a Nano that others use: the queue is seen, the time that is left counts down, and why it ended is said."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from furnished import DoubleLab, furnished_window
from user import User

from ai_nano.core import texts
from ai_nano.core.ports import JobEnd
from ai_nano.gui.main_window import MainWindow
from ai_nano.gui.widgets.running_list import RunningList
from ai_nano.steps.engine import PROGRAM as BUILD

pytestmark = pytest.mark.timeout(120)

CLASSIFY = "jetson_nano/classify.py"
SHARES = {"cat": 0.97, "coffee": 0.01, "rocket": 0.01, "nothing": 0.01}
FRAME = {"type": "prediction", "frame": 1, "t": 2.0, "class": "cat", "class_index": 0, "confidence": 0.97,
         "probabilities": SHARES, "lit": [12], "ms": {}}

Shown = tuple[MainWindow, DoubleLab, User]


def place(number: int, student: str, **changes: Any) -> dict[str, Any]:
    return {"run": f"r-{number}", "program": CLASSIFY, "student": student, "laptop": None, "for_s": 125.0, "left_s": 175.0,
            "own": False, **changes}


def waiting(*ahead: dict[str, Any], wait_s: float | None = 175.0) -> dict[str, Any]:
    return {"type": "turn", "state": "waiting", "position": len(ahead), "ahead": list(ahead), "wait_s": wait_s}


ENDING = {"type": "turn", "state": "ending", "left_s": 42.0, "waiting": 1, "who": "bob@lab3"}
YOURS = {"type": "turn", "state": "yours", "limit_s": 300}
OVER = {"type": "log", "code": "infer.turn_over", "params": {"minutes": 5, "who": "bob@lab3"}}


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    """The Nano's programs last until `hold` is set or they are told to stop."""
    with furnished_window(tmp_path) as (window, lab), User() as user:
        lab.nano(None).hold = go_on = threading.Event()
        yield window, lab, user
        go_on.set()


def begin(shown: Shown, *events: dict[str, Any]) -> None:
    """Step 8 with a program that says this and goes on."""
    window, lab, user = shown
    nano = lab.nano(None)
    (nano.root / "models" / "nano-ada-002").mkdir(parents=True, exist_ok=True)
    nano.events[CLASSIFY] = list(events)
    window.show_page("infer")
    user.click("Start")


def test_the_queue_is_seen_while_waiting(shown: Shown) -> None:
    begin(shown, waiting(*(place(number, f"student{number}@lab") for number in range(1, 6)), wait_s=None))
    window, lab, user = shown
    user.wait_for("You are number 5 in the queue.")
    assert user.sees("Now: student1@lab: classification for 2 min 5 s, 2 min 55 s left at most "
                     "1. student2@lab: waiting for 2 min 5 s 2. student3@lab: waiting for 2 min 5 s · and 2 more")
    assert user.sees("The picture comes with your turn.") and user.sees(re.compile("^Waiting for your turn on the Nano"))
    assert not user.sees("End my other run")
    texts.set_language("fr")
    window.page.retranslate()  # type: ignore[attr-defined]
    user.wait_for("Tu as le numéro 5 dans la file.")
    texts.set_language(None)
    window.page.retranslate()  # type: ignore[attr-defined]
    user.click("Stop")
    user.wait_until_gone("You are number 5 in the queue.")


def test_ones_own_forgotten_window_can_be_ended(shown: Shown) -> None:
    begin(shown, waiting(place(1, "ada@lab", own=True)))
    _, lab, user = shown
    user.wait_for("You are next, in 2 min 55 s at the latest.")
    assert user.sees(re.compile("You yourself are using this Nano already: ada@lab. A window that you have forgotten"))
    ended: list[str] = []
    attach = lab.nano(None).attach
    lab.nano(None).attach = lambda run: (ended.append(run), attach(run))[1]  # type: ignore[method-assign]
    user.click("End my other run")
    user.wait(0.3)
    assert ended == ["r-1"]


def test_the_turn_comes_and_is_counted_down(shown: Shown) -> None:
    begin(shown, waiting(place(1, "bob@lab3")), YOURS, FRAME, ENDING)
    _, _, user = shown
    user.wait_for("Your turn on nano1 ends in 41 s: bob@lab3 is waiting.")
    assert user.sees("cat  97.0 %") and user.sees("The Nano is classifying. Push Stop to end it.")
    assert not user.sees(re.compile("^Now: bob"))


def test_why_it_ended_is_said_until_the_next_start(shown: Shown) -> None:
    window, lab, user = shown
    lab.nano(None).hold = None
    lab.nano(None).ends[CLASSIFY] = JobEnd("done", {"frames": 1, "turn_over": True})
    begin(shown, FRAME, ENDING, OVER)
    said = "Your turn of 5 min is over, bob@lab3 is next. Start again to queue up."
    user.wait_for(re.compile("^Done: "))
    assert user.sees(said)
    lab.nano(None).hold, lab.nano(None).events[CLASSIFY] = threading.Event(), [FRAME]
    user.click("Start")
    user.wait_for("cat  97.0 %")
    assert not window.page.turns.isVisible()  # type: ignore[attr-defined]
    lab.nano(None).hold.set()  # type: ignore[union-attr]


def test_the_running_list_says_who_waits(user: User) -> None:
    runs = RunningList()
    runs.resize(900, 300)
    run = {"machine": "nano1", "step": "infer", "state": "running", "student": "bob@lab3", "age_s": 125.0, "waiting": False}
    runs.show_answer([run, {**run, "student": "ada@lab", "waiting": True}], ["nano1"], {})
    runs.show()
    user.wait_for("Inference (waiting)")
    assert user.sees("Inference")
    runs.hide()
    runs.deleteLater()


def test_a_build_says_whom_it_waits_for(shown: Shown) -> None:
    window, lab, user = shown
    nano = lab.nano(None)
    nano.events[BUILD] = [waiting(place(1, "bob@lab3"))]
    nano.ends[BUILD] = JobEnd("done", {"engine": "e", "reused": False, "seconds": 131.5})
    window.show_page("deploy")
    user.click(re.compile("^nano1 "))
    user.click("Push to the Nano")
    user.wait_for("Waiting: bob@lab3 has had nano1 for 2 min 5 s (classification). "
                  "You are next, in 2 min 55 s at the latest.")
