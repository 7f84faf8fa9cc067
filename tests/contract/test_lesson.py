"""The lesson of step 3, run small: real takes of the stage, real trainings, and what they have to say."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import pytest

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Cancelled, MissingPrerequisite
from ai_nano.core.events import Event, Log, Progress, ignore
from ai_nano.core.split.lesson import STRATEGIES, LessonOptions
from ai_nano.demo import lesson


@pytest.mark.slow
def test_shuffling_promises_more_than_it_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(lesson, "CLASSES", lesson.CLASSES[:4])
    monkeypatch.setattr(lesson, "FRESH_PER_TAKE", 3)
    events: list[Event] = []
    result = lesson.run_lesson(LessonOptions(seeds=1, per_take=5), events.append, CancelToken())
    assert [one.strategy for one in result.outcomes] == list(STRATEGIES)
    for one in result.outcomes:
        assert 0 <= one.real <= 1 and 0 <= one.promised <= 1
        assert one.fresh == len(lesson.CLASSES) * lesson.FRESH_TAKES * lesson.FRESH_PER_TAKE
        assert one.tested >= len(lesson.CLASSES)
    assert result.flattery("random") > result.flattery("blocks")
    assert [event.code for event in events if isinstance(event, Log)] == ["lesson.trained"] * 2
    last = [event for event in events if isinstance(event, Progress)][-1]
    assert last.done == last.total == 3
    assert not list(tmp_path.iterdir()), "nothing of it is left"


def test_it_can_be_cancelled_while_a_network_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(lesson, "CLASSES", ("cat", "coffee"))
    cancel = CancelToken()

    def listen(event: Event) -> None:
        if isinstance(event, Progress) and event.what == "lesson.training":
            cancel.cancel()

    with pytest.raises(Cancelled):
        lesson.run_lesson(LessonOptions(seeds=1, per_take=3), listen, cancel)
    assert not list(tmp_path.iterdir())


def test_a_computer_without_pytorch_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def find(name: str, *more: Any) -> Any:
        return None if name == "torch" else found(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    with pytest.raises(MissingPrerequisite) as caught:
        lesson.run_lesson(LessonOptions(), ignore, CancelToken())
    assert "torch" in caught.value.why and "pip install" in caught.value.hint and caught.value.exit_code == 4
