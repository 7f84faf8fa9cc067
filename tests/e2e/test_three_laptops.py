"""A small class: what `make soak` does with thirty laptops, with three."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "integration")]
from tests.soak.figures import table, use  # noqa: E402
from tests.soak.lesson import Training  # noqa: E402
from tests.soak.run import Plan, soak  # noqa: E402


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_all_finish_and_nobody_has_anothers_files() -> None:
    """One login on two computers, a third that was cloned, one name for the project of all."""
    told = soak(Plan(laptops=3, images=12, scheduler="direct", nanos=2, spread_s=1.0, width=320), print)
    assert told.ok, table(told)
    assert len(told.trainings) == 3 and told.told["logins"] >= 3 * 3, table(told)


def test_who_had_the_gpu_and_who_waited() -> None:
    first, second = Training(asked=0.0, turn=1.0, began=3.0, ended=10.0), Training(asked=2.0, turn=12.0, began=13.0, ended=20.0)
    assert use([first, second]) == {"held_s": 17.0, "free_s": 3.0, "loading_s": 1.0}
    assert use([first]) == {"held_s": 9.0, "free_s": 1.0, "loading_s": 0.0}
