"""Step 5 on a server that others use: the place in the queue is seen, who trains, and why a cluster lets one wait."""

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
from ai_nano.gui.main_window import MainWindow

pytestmark = pytest.mark.timeout(120)

TRAIN = "gpu_server/train.py"
Shown = tuple[MainWindow, DoubleLab, User]


def queue(**changes: Any) -> dict[str, Any]:
    return {"v": 1, "type": "queue", "scheduler": "direct", "state": "waiting", "place": 2, "of": 5, "start_s": 95.0,
            "reason": None, "node": None, "error": None, "ahead": [], **changes}


def one(student: str, trains: bool) -> dict[str, Any]:
    return {"run": f"r-{student}", "student": f"{student}@lab", "laptop": None, "trains": trains, "own": False, "for_s": 125.0,
            "left_s": 60.0 if trains else None}


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    """The server's programs last until `hold` is set or they are told to stop."""
    with furnished_window(tmp_path) as (window, lab), User() as user:
        lab.server.hold = go_on = threading.Event()
        yield window, lab, user
        go_on.set()


def begin(shown: Shown, *events: dict[str, Any]) -> None:
    window, lab, user = shown
    lab.server.events[TRAIN] = list(events)
    window.show_page("train")
    user.click("Train")


def test_the_place_is_seen_while_waiting(shown: Shown) -> None:
    begin(shown, queue(ahead=[one("ada", True), *(one(f"s{number}", False) for number in range(4))]))
    window, _, user = shown
    user.wait_for("You are 2nd of 5 waiting for DL. It will start in about 1 min 35 s.")
    assert user.sees(re.compile(r"(?s)ada@lab: has been training for 2 min 5 s, about .* left.*and 2 more"))
    assert user.sees(re.compile("^Waiting for a GPU"))
    user.wait_for("queued")  # in the rail
    assert not user.sees("running")
    texts.set_language("fr")
    window.page.retranslate()  # type: ignore[attr-defined]
    user.wait_for(re.compile("^Tu es 2e sur 5"))
    texts.set_language(None)


def test_a_clusters_reason_and_then_its_node(shown: Shown) -> None:
    begin(shown, queue(scheduler="slurm", reason="QOSMaxJobsPerUserLimit", start_s=None))
    _, lab, user = shown
    user.wait_for(re.compile("beyond the limit of its QOS"))
    lab.server.hold.set()


def test_the_queue_goes_when_the_training_begins(shown: Shown) -> None:
    begin(shown, queue(), queue(state="running", place=None, of=None, start_s=None, node="gpu1"))
    _, _, user = shown
    user.wait_for(re.compile("^The server is training"))
    assert not user.sees(re.compile("waiting for DL"))
    user.wait_for("running")
    assert not user.sees("queued")
