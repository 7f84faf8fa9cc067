"""The instructor's page: a full room is read at a glance, and whoever is ended is asked about first and told afterwards."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import full_room
import pytest
from furnished import DoubleLab, furnished_window
from user import User

from ai_nano.core.errors import MachineError
from ai_nano.core.overview import watch
from ai_nano.core.room.ended import By
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
        nanos["nano9"].room = away  # type: ignore[method-assign]
        yield made, lab, nanos, user


def away() -> Any:
    raise MachineError("machine.unreachable", machine="nano9", host="10.0.0.9")


def fill(lab: DoubleLab, nanos: dict[str, Any]) -> None:
    lab.server.works = full_room.server_works()
    for number, nano in enumerate(nanos.values(), 1):
        nano.works = full_room.nano_works(number)


def until(user: User, condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}; it reads {user.reads()}"
        user.wait(0.02)


def more(user: User, row: str, entry: str | re.Pattern[str]) -> None:
    user.click("More", beside=row)
    user.click(entry)


def test_a_full_room_at_a_glance(shown: Shown) -> None:
    made, lab, nanos, user = shown
    fill(lab, nanos)
    made.show_page("room")
    user.wait_for("ada@lab1")
    user.wait_for(re.compile(r"epoch 18 of 40  ·  45 %  ·  1 min \d+ s left"))
    user.wait_for(re.compile(r"^1  chloé@lab3"))
    user.wait_for(re.compile(r"number 1 in the queue, in .* at the latest"))
    user.wait_for(re.compile(r"^nano1 +bob@lab2"))
    user.wait_for(re.compile(r"2 waiting, next chloé@lab3"))
    user.wait_for("nano9 (10.0.0.9) cannot be reached.")
    user.wait_for(re.compile("ended by the instructor"))
    made.main_menu.choose_language("fr")
    user.wait_for(re.compile("arrêté par l'enseignant"))
