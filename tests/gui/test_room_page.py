"""The instructor's page: a full room is read at a glance, and whoever is ended is asked about first and told afterwards."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import full_room
import pytest
from furnished import DoubleLab, furnished_window
from user import User
from watchdog import Watchdog

from ai_nano.core.overview import watch
from ai_nano.core.ports import JobEnd
from ai_nano.core.room.ended import By, EndedBy
from ai_nano.gui.main_window import MainWindow

pytestmark = pytest.mark.timeout(120)

Shown = tuple[MainWindow, DoubleLab, dict[str, Any], User]


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shown]:
    """The page, in a room of a server and nine Nanos; the ninth is not there."""
    monkeypatch.setattr(watch, "ASK_S", 0.1)
    with furnished_window(tmp_path) as (made, lab), User() as user:
        nanos = lab.with_nanos(tmp_path, *(f"nano{number}" for number in range(1, 10)))
        lab.config = replace(lab.config, student="teacher@desk")
        nanos["nano9"].room = full_room.away  # type: ignore[method-assign]
        yield made, lab, nanos, user


def fill(lab: DoubleLab, nanos: dict[str, Any]) -> None:
    lab.server.works = full_room.server_works()
    for number, nano in enumerate(nanos.values(), 1):
        nano.works = full_room.nano_works(number)


def until(user: User, condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}; it reads {user.reads()}"
        user.wait(0.02)


def more(user: User, row: str | re.Pattern[str], entry: str | re.Pattern[str]) -> None:
    user.click("More", inside=row)
    user.click(entry)


def test_a_full_room_at_a_glance(shown: Shown) -> None:
    made, lab, nanos, user = shown
    fill(lab, nanos)
    made.show_page("room")
    user.wait_for("ada@lab1")
    user.wait_for(re.compile(r"epoch 18 of 40 · 45 % · 1 min \d+ s left"))
    user.wait_for(re.compile(r"^1 chloé@lab3"))
    user.wait_for("in 1 min")
    user.wait_for(re.compile(r"^nano1 +bob@lab2"))
    user.wait_for(re.compile(r"2 waiting, next chloé@lab3"))
    user.wait_for("nano9 (10.0.0.9) cannot be reached.")
    user.wait_for(re.compile("ended by the instructor"))
    made.main_menu.choose_language("fr")
    user.wait_for(re.compile("arrêté par l'enseignant"))


def test_a_crowd_is_counted_and_its_first_are_shown(shown: Shown) -> None:
    made, lab, nanos, user = shown
    lab.server.works = [full_room.work(number, f"s{number}@lab", full_room.TRAIN, -number, waiting=True,
                                       turn={"state": "waiting", "position": number, "wait_s": 60.0 * number})
                        for number in range(1, 2001)]
    made.show_page("room")
    user.wait_for("2000")
    rows = made.page.waiting._rows  # type: ignore[attr-defined]
    assert len(rows) == 101 and rows[""]._shown.name == "and 1900 more"


def test_an_empty_room(shown: Shown) -> None:
    made, _, nanos, user = shown
    made.show_page("room")
    user.wait_for("Nobody trains now.")
    user.wait_for("Nobody waits.")
    user.wait_for("Nothing failed.")
    until(user, lambda: user.reads().count("Nobody uses it.") >= 5, "the free Nanos")
    made.show_page("train")
    until(user, lambda: not [one for one in threading.enumerate() if one.name == "look"], "the end of the looking")


def test_a_training_is_ended_after_a_question(shown: Shown) -> None:
    made, lab, nanos, user = shown
    fill(lab, nanos)
    made.show_page("room")
    user.wait_for("ada@lab1")
    more(user, "ada@lab1", "End “Train” of ada@lab1…")
    user.wait_for(re.compile("“Train” of ada@lab1 has been running on DL for 1 min"))
    assert lab.server.cancelled == []
    user.click("End it")
    until(user, lambda: lab.server.cancelled, "the end")
    assert lab.server.cancelled == [full_room.server_works()[0]["id"]]
    assert lab.server.ended_by == [By("teacher@desk", instructor=True)]


def test_a_nano_is_taken_over_with_all_who_wait(shown: Shown) -> None:
    made, lab, nanos, user = shown
    fill(lab, nanos)
    made.show_page("room")
    user.wait_for(re.compile("^nano1 +bob@lab2"))
    more(user, re.compile("^nano1 "), "Take over…")
    user.wait_for(re.compile("This ends on nano1: bob@lab2: Inference, bob-mugs-061, for .*Then it is the turn of chloé@lab3"))
    user.click("Then start something of mine there")
    user.click("End it and the 2 waiting")
    until(user, lambda: len(nanos["nano1"].cancelled) == 3, "the end of all three")
    works = {one["id"]: one for one in full_room.nano_works(1)}
    assert [works[run]["waiting"] for run in nanos["nano1"].cancelled] == [True, True, False]
    assert set(nanos["nano1"].ended_by) == {By("teacher@desk", instructor=True)}
    user.wait_for("8 · Inference on the Nano")
    assert made.page.choice.nano == "nano1"  # type: ignore[attr-defined]


def test_a_free_nano_is_taken_over_without_ado(shown: Shown) -> None:
    made, lab, nanos, user = shown
    fill(lab, nanos)
    made.show_page("room")
    user.wait_for("nano3")
    more(user, "nano3", "Take over…")
    user.wait_for("Nobody uses nano3 now.")
    user.click("Take it over")
    user.wait_for("nano3 was free already.")
    assert nanos["nano3"].cancelled == []


def test_the_student_reads_who_ended_it(shown: Shown) -> None:
    """And not that it was cancelled, which is what happened as far as the machine knows."""
    made, lab, _, user = shown
    by = EndedBy("teacher@desk", True, "The lesson is over.", time.mktime((2026, 11, 22, 10, 42, 0, 0, 0, -1)))
    lab.server.ends["gpu_server/train.py"] = JobEnd("cancelled", ended_by=by)
    lab.server.hold.set()
    made.show_page("train")
    user.click("Train")
    user.wait_for("Your instructor (teacher@desk) ended this at 10:42.")
    user.wait_for(re.compile("“The lesson is over.”"))
    user.wait_for("ended by somebody else")
    made.main_menu.choose_language("fr")
    user.wait_for("Ton enseignant (teacher@desk) a arrêté ceci à 10:42.")


def test_half_of_the_machines_are_dead_and_the_window_lives(shown: Shown) -> None:
    """Neither the page nor the other machines wait for them; nor does leaving."""
    made, lab, nanos, user = shown
    fill(lab, nanos)
    over = threading.Event()

    def hangs() -> Any:
        over.wait(60)
        return full_room.away()

    for name in ("nano2", "nano5", "nano6", "nano8"):
        nanos[name].room = hangs
    dog = Watchdog()
    try:
        with dog:
            made.show_page("room")
            user.wait_for(re.compile("^nano1 +bob@lab2"))
            user.wait_for("nano9 (10.0.0.9) cannot be reached.")
            until(user, lambda: user.reads().count("Being asked…") == 4, "the four that are asked")
            user.wait(1.0)
            made.show_page("train")
            user.wait_for("5 · Train")
        report = dog.stop()
        assert report.longest_s < 0.4 or all(stall.cpu_s < 0.2 for stall in report.stalls), str(report)
    finally:
        over.set()
