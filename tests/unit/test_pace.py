"""How fast a classification is said to be."""

import pytest

from ai_nano.core.pace import Pace


def test_the_rate_over_the_last_two_seconds() -> None:
    pace = Pace()
    for number in range(100):
        pace.add(number * 0.05, {})
    assert pace.rate(5.0) == pytest.approx(20.0, rel=0.06)
    assert pace.rate(60.0) is None


def test_nothing_is_said_of_too_little() -> None:
    pace = Pace()
    assert pace.rate(0.0) is None and pace.stages(0.0) == {}
    pace.add(0.0, {"network": 5.0})
    assert pace.rate(0.4) is None and pace.stages(0.4) == {"network": 5.0}


def test_the_median_of_the_last_second_in_the_order_of_the_work() -> None:
    pace = Pace()
    pace.add(0.0, {"capture": 1000.0})
    for at, network in ((1.2, 10.0), (1.4, 12.0), (1.6, 900.0)):
        pace.add(at, {"capture": 30.0, "network": network})
    assert list(pace.stages(2.0).items()) == [("capture", 30.0), ("network", 12.0)]
    pace.clear()
    assert pace.stages(2.0) == {}
