"""A few seeds of the soak: real faults strike while the commands run (tests/faults; `make soak` has more)."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "integration")]
from tests.faults.driver import run  # noqa: E402
from tests.faults.room import Template  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    made = Template(tmp_path_factory.mktemp("template") / "laptop")
    yield made
    made.remove()


@pytest.mark.parametrize("seed", [1, 4])
def test_the_next_try_finishes_and_nothing_is_lost(seed: int, template: Template, tmp_path: Path) -> None:
    outcome = run(seed, template, tmp_path / "room")
    assert not outcome.problem, outcome.text
