"""What a training may be asked for."""

from typing import Any

import pytest
import server_data  # noqa: F401  (makes the programs importable)

from gpu_server import settings
from shared.wire import Failure


def test_what_is_left_out_is_the_recipes_own() -> None:
    assert settings.read({"model": "photos"}) == settings.Settings(
        "quick", "efficientnet_lite0", None, 0, None, None, None, None)


@pytest.mark.parametrize("given", [
    {"epochs": 0}, {"epochs": 2.5}, {"epochs": True}, {"epochs": "3"}, {"seed": -1}, {"seed": 2**63}, {"weights": 3},
    {"lr": 0}, {"lr": float("nan")}, {"lr": True}, {"batch": 0}, {"batch": 4096}, {"minutes": -1}, {"minutes": float("inf")}])
def test_nonsense_is_refused_by_name(given: dict[str, Any]) -> None:
    with pytest.raises(Failure) as failure:
        settings.read(given)
    name = next(iter(given))
    assert (failure.value.code, failure.value.params) == ("train.bad_parameter", {"name": name, "value": str(given[name])})


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(Failure, match=r"train\.unknown_recipe"):
        settings.read({"recipe": "secret"})
