"""What a student reads while a training waits, and what config.json may say of the server's queue."""

import json
from typing import Any

import pytest

from ai_nano.core import texts, wire
from ai_nano.core.answers import Nonsense
from ai_nano.core.errors import ConfigError
from ai_nano.core.room import config, config_file, scheduler, training_queue
from ai_nano.core.room.training_queue import Queued, Trainee, ordinal, reason_words

BOB = Trainee("bob@lab3", "lab3", True, False, 125.0, None)
CAL = Trainee("cal@lab5", None, False, False, 8.0, 30.0)


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_NANO_LANGUAGE", "en")


def queued(**changes: Any) -> Queued:
    return Queued(**{"step": "train", "machine": "DL", "scheduler": "direct", "state": "waiting", "place": 2, "of": 5,
                     "start_s": 95.0, "ahead": (BOB, CAL), **changes})


def test_the_place_and_the_start() -> None:
    assert queued().text == ("You are 2nd of 5 waiting for DL. It will start in about 1 min 35 s. bob@lab3: has been training "
                             "for 2 min 5 s. cal@lab5: waiting for 8 s.")
    assert queued(place=1, of=1, start_s=None, ahead=()).text == "You are next of 1 waiting for DL."
    assert queued(state="running", node="gpu1", ahead=()).text == "It has a GPU of DL now, on gpu1."
    assert "It will start at about" in queued(start_s=7200.0).headline


@pytest.mark.parametrize(("number", "word"), [
    (1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"), (21, "21st"), (22, "22nd"),
    (23, "23rd"), (111, "111th"), (102, "102nd")])
def test_ordinals(number: int, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ordinal(number) == word
    monkeypatch.setenv("AI_NANO_LANGUAGE", "fr")
    assert ordinal(number) == (f"{number}e" if number > 1 else "1er")


@pytest.mark.parametrize(("reason", "words"), [
    ("Resources", "all GPUs are taken; yours is the next job (Resources)"),
    ("QOSMaxJobsPerUserLimit", "it would go beyond the limit of its QOS for each user (QOSMaxJobsPerUserLimit)"),
    ("ReqNodeNotAvail, Unavailable:n[1-2]", "a node that it needs is not available (ReqNodeNotAvail, Unavailable:n[1-2])"),
    ("SomethingNew", "SomethingNew")])
def test_reasons(reason: str, words: str) -> None:
    assert reason_words(reason) == words
    assert queued(scheduler="slurm", reason=reason).rows[0] == f"Slurm: {words}"


def test_every_family_of_reasons_has_words() -> None:
    for family in training_queue.FAMILIES:
        assert texts.known(f"queue.reason.{family}")


@pytest.mark.parametrize("change", [
    {"place": 0}, {"place": "1"}, {"state": "other"}, {"ahead": None}, {"start_s": -1}, {"of": 10 ** 30}, {"reason": 3},
    {"ahead": [{"trains": True}]}, {"scheduler": "x"}, {"error": "x" * 10 ** 6}])
def test_nonsense_is_refused(change: dict[str, Any]) -> None:
    good = {name: value for name, value in queued(ahead=()).to_json().items() if name != "reason_text"}
    assert wire.to_event(good, "train", "DL") is not None
    with pytest.raises(Nonsense):
        wire.to_event({**good, **change}, "train", "DL")


def server(**keys: Any) -> config.ServerConfig:
    return config.read(json.dumps({"DL_server": {"ip": "dl", "login": "nano", **keys}})).server


def test_config_of_the_queue_goes_with_a_training_and_is_written_again() -> None:
    told = server(scheduler="slurm", gpus=2, queue="/srv/q", slurm={
        "partition": "gpu,long", "gres": "gpu:a100:1", "time": "1-00:30:00", "account": "class", "qos": "q", "cpus": 4,
        "memory": "8G", "constraint": "a100&nvlink", "reservation": "lesson"})
    assert scheduler.schedule(told, "mugs") == {
        "scheduler": "slurm", "gpus": 2, "queue": "/srv/q", "project": "mugs", "slurm": {
            "partition": "gpu,long", "gres": "gpu:a100:1", "time": "1-00:30:00", "account": "class", "qos": "q", "cpus": 4,
            "memory": "8G", "constraint": "a100&nvlink", "reservation": "lesson"}}
    again = config.read(config_file.as_text({"DL_server": config_file._machine(told)})).server
    assert again == told
    assert scheduler.schedule(server(), "mugs")["slurm"] == {}


@pytest.mark.parametrize("keys", [
    {"gpus": 0}, {"gpus": True}, {"gpus": "2"}, {"queue": "relative"}, {"queue": "/a/../b"}, {"slurm": {"time": "soon"}},
    {"slurm": {"partition": "-x"}}, {"slurm": {"partition": "a b"}}, {"slurm": {"gres": "gpu:1; rm"}}, {"slurm": {"cpus": "4"}},
    {"slurm": {"memory": "much"}}, {"slurm": {"account": "--wrap=x"}}, {"slurm": {"nodes": 3}}, {"scheduler": "pbs"}])
def test_what_makes_no_sense_is_said(keys: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        server(**keys)
    assert caught.value.params["key"].startswith("DL_server.")
