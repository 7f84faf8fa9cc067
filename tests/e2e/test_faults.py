"""A few seeds of `make faults`: real faults strike while the commands run."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "integration")]
from tests.faults import kinds  # noqa: E402
from tests.faults.driver import plan, run  # noqa: E402
from tests.faults.room import Template  # noqa: E402

# The laptop killed in an upload, the link cut in a training, the Nano's disk full in a deployment.
KILLED, CUT, FULL = 5, 2, 14


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    made = Template(tmp_path_factory.mktemp("template") / "laptop")
    yield made
    made.remove()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_next_try_finishes_and_nothing_is_lost(template: Template, tmp_path: Path) -> None:
    """Three seeds in one room: each hits another step."""
    outcome = run((KILLED, CUT, FULL), template, tmp_path / "room")
    if outcome.left_out:
        assert not os.environ.get("CI"), outcome.text
        outcome = run((KILLED, CUT), template, tmp_path / "room")
    assert not outcome.problem, outcome.text
    assert outcome.exits[0][0] == "-9" and outcome.struck == len(outcome.seeds), outcome.text


def test_a_run_of_seeds_has_all_kinds_and_is_the_same_each_time() -> None:
    plans = [plan(seed) for seed in range(1, 21)]
    drawn = {(one.make, one.step) for one in plans}
    assert len(plans) == len(kinds.CYCLE)
    assert {(kinds.LaptopKilled, step) for step in (*kinds.ON_LAPTOP, *kinds.REMOTE)} <= drawn
    assert {(kinds.Cut, "upload"), (kinds.Cut, "train"), (kinds.DiskFull, "upload"), (kinds.DiskFull, "train"),
            (kinds.DiskFull, "deploy"), (kinds.HostKey, "upload"), (kinds.HostKey, "train")} <= drawn
    once = {kinds.HalfModel, kinds.Clock, kinds.TwoLaptops, kinds.Restart, kinds.Sessions, kinds.Freeze}
    assert once <= {one.make for one in plans}
    assert [plan(seed).fraction for seed in range(1, 21)] == [one.fraction for one in plans]


def test_a_moment_that_was_missed_is_drawn_earlier() -> None:
    drawn = [plan(CUT, missed).fraction for missed in range(4)]
    assert drawn == sorted(drawn, reverse=True) and drawn[3] < drawn[0] / 4
