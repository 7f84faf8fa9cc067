"""A small class: what `make soak` does with thirty laptops, with three."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "integration")]
from tests.soak.figures import table, use  # noqa: E402
from tests.soak.lesson import Training  # noqa: E402
from tests.soak.run import Plan, soak  # noqa: E402

# Of one training's end and the next one's start: they are stamped by two processes, each a little after the fact.
STAMPED_S = 0.5


def check(laptops: int, scheduler: str) -> None:
    told = soak(Plan(laptops, 12, scheduler, nanos=2, spread_s=1.0, width=320), print)
    assert told.ok, table(told)
    assert len(told.trainings) == laptops and told.told["logins"] >= 3 * laptops, table(told)
    turns = sorted((one.turn, one.ended) for one in told.trainings)
    assert all(ended <= turn + STAMPED_S for (_, ended), (turn, _) in zip(turns, turns[1:], strict=False)), "one GPU, one training"


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.timeout(900)
def test_three_finish_on_slurm_and_nobody_has_anothers_files() -> None:
    """One login on two computers, a third that was cloned, one name for the project of all."""
    check(3, "slurm")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_finish_without_slurm_and_nobody_has_anothers_files() -> None:
    check(2, "direct")


def test_who_had_the_gpu_and_who_waited() -> None:
    first, second = Training(asked=0.0, turn=1.0, began=3.0, ended=10.0), Training(asked=2.0, turn=12.0, began=13.0, ended=20.0)
    assert use([first, second]) == {"held_s": 17.0, "free_s": 3.0, "loading_s": 1.0}
    assert use([first]) == {"held_s": 9.0, "free_s": 1.0, "loading_s": 0.0}
