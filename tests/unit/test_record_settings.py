"""How a project is recorded, as its workspace keeps it: whoever wrote the file."""

from typing import Any

import pytest

from ai_nano.core.recording.settings import BOUNDS, KEY, RecordSettings


def test_what_is_kept_comes_back() -> None:
    told = RecordSettings(fps=30, countdown_s=0, count=7, target=500)
    assert RecordSettings.of({KEY: told.to_json()}) == told


@pytest.mark.parametrize("kept", [
    None, [], "fast", {}, {"fps": 0}, {"fps": 31}, {"fps": "10"}, {"fps": True}, {"fps": 2.5}, {"count": -1}, {"target": None},
    {"countdown_s": 10**9}, {"unknown": 1}])
def test_what_cannot_be_is_as_usual(kept: Any) -> None:
    assert RecordSettings.of({KEY: kept}) == RecordSettings.of({}) == RecordSettings()


def test_one_bad_value_leaves_the_others() -> None:
    assert RecordSettings.of({KEY: {"fps": 99, "count": 20}}) == RecordSettings(count=20)


def test_what_is_usual_is_within_the_bounds() -> None:
    assert all(BOUNDS[name][0] <= value <= BOUNDS[name][1] for name, value in RecordSettings().to_json().items())
