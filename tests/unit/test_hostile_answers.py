"""What another machine says is read by type and size: whatever comes, an error of ours and never a traceback."""

import json
import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_nano.core import answers, texts, wire
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, MachineError, WorkFailed
from ai_nano.core.events import Event, Log
from ai_nano.core.ports import JobEnd
from ai_nano.machines.base import ProgramMachine
from ai_nano.machines.job import Job

QUICK = settings(max_examples=50, deadline=None)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=12)


def line(message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"


# ---- a line ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [
    b"", b"{", b"[]", b"null", b'"x"', b'{"a":NaN}', b'{"a":Infinity}', b'{"a":-Infinity}', b'{"a":1e999}',
    b'{"a":' + b"9" * 5000 + b"}", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"a":' * 100_000, b'{"a":"\xff"}',
    b'{"a":' + b"[" * 60 + b"]" * 60 + b"}", b'{"a":[' + b"[]," * 500_000 + b"0]}", b'{"\\ud800":1}', b'{"a":1}{"b":2}',
    b"\x00\x01\x02", b'{"a":"x' + b"y" * 1000,
], ids=lambda said: repr(said[:20]))
def test_a_line_that_makes_no_sense(said: bytes) -> None:
    with pytest.raises(answers.Nonsense):
        answers.decode(said)


def test_a_line_of_many_values_takes_little_memory() -> None:
    said = b'{"a":[' + b"[]," * 1_300_000 + b"0]}"
    tracemalloc.start()
    with pytest.raises(answers.Nonsense):
        answers.decode(said)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10_000_000


def test_halves_of_characters_become_what_can_be_printed() -> None:
    found = answers.decode(b'{"a":["x\\ud800y",{"b":"\\udfff"}],"c":"\\ud83d\\ude00"}')
    assert found == {"a": ["x\ufffdy", {"b": "\ufffd"}], "c": "\U0001f600"}
    json.dumps(found, ensure_ascii=False).encode("utf-8")


@QUICK
@given(st.dictionaries(st.text(max_size=8).filter(lambda key: key.isprintable()), JSON, max_size=5))
def test_a_line_of_ours_comes_through(document: dict[str, Any]) -> None:
    said = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
    try:
        found = answers.decode(said)
    except answers.Nonsense:
        assert any(len(word) > answers.LONGEST_NUMBER for word in json.dumps(document).replace(",", " ").split()) or (
            b"\xed" in said)  # a number of more digits than any of ours, or half a character
        return
    assert found == document


@QUICK
@given(st.text(max_size=100) | st.text("\x1b[]0;31mA\x07\u202e\x9b\n\r\t", max_size=40))
def test_what_is_shown_steers_no_terminal(text: str) -> None:
    told = answers.shown(text, 60)
    assert not any(ord(one) < 32 or 127 <= ord(one) < 160 or 0xD800 <= ord(one) < 0xE000 for one in told) and len(told) <= 60
    assert "\u202e" not in told and "\u2028" not in told


# ---- a program's answer ----------------------------------------------------------------------------------------------


class Scripted:
    """A channel that plays what it was given."""

    def __init__(self, *lines: bytes, status: int = 0, errors: str = "") -> None:
        self.lines = list(lines)
        self.status, self.errors = status, errors

    def write(self, data: bytes) -> None: ...

    def close_stdin(self) -> None: ...

    def close(self) -> None: ...

    def readline(self, timeout: float) -> bytes:
        return self.lines.pop(0) if self.lines else b""

    def finish(self) -> tuple[int, str]:
        return self.status, self.errors


class Machine(ProgramMachine):
    name = "DL"

    def __init__(self, *lines: bytes, **more: Any) -> None:
        self._channel = Scripted(*lines, **more)

    def exec_program(self, program: str, *words: str) -> Any:
        return self._channel


@pytest.mark.parametrize("said", [
    {"v": 1}, {"v": 1, "type": 5}, {"v": 1, "type": ["error"]}, {"v": 1, "type": "error"}, {"v": 1, "type": "error", "code": 7},
    {"v": 1, "type": "error", "code": "../../x"}, {"v": 1, "type": "error", "code": "x" * 1000},
    {"v": 1, "type": "error", "code": "{machine.__class__}"},
])
def test_an_answer_of_wrong_types(said: object) -> None:
    with pytest.raises(MachineError) as caught:
        Machine(line(said)).store("models")
    assert caught.value.code == "machine.nonsense" and "DL" in str(caught.value)


@pytest.mark.parametrize(("said", "status", "code"), [
    (b"", 0, "machine.no_answer"), (b"", 127, "machine.no_python"), (b"", -1, "machine.lost"),
    (b"", 2 ** 32 - 1, "machine.no_answer"), (b'{"v":1,"type":"res', -1, "machine.lost"),
    (b'{"v":1,"type":"res', 1, "machine.no_answer"), (b"{}\n", 0, "machine.nonsense"),
])
def test_no_answer(said: bytes, status: int, code: str) -> None:
    with pytest.raises(MachineError) as caught:
        Machine(said, status=status, errors="\x1b]0;owned\x07\x1b[31mbad").store("models")
    assert caught.value.code == code and "\x1b" not in str(caught.value) + "".join(caught.value.details)


def test_a_program_that_ended_before_it_read_is_heard() -> None:
    class Deaf(Scripted):
        def write(self, data: bytes) -> None:
            raise MachineError("machine.lost", machine="DL")

    error = line({"v": 1, "type": "error", "code": "run.exists", "params": {"id": "x"}})
    for lines, status, code in (((), 127, "machine.no_python"), ((), -1, "machine.lost"), ((error,), 1, "run.exists")):
        asked = Machine()
        asked._channel = Deaf(*lines, status=status)
        with pytest.raises(AiNanoError) as caught:
            asked.start("train", "gpu_server/train.py", {})
        assert caught.value.code == code


@pytest.mark.parametrize("params", [
    {"details": "x", "machine": "other"}, {"self": 1, "code": 2, "cls": 3}, {"path": {"a": {}}}, ["list"], "text", None,
    {"path": "{machine.__class__.__init__.__globals__}"}, {"path": ["a"] * 100_000}, {"x y": 1, "": 2, "__class__": 3},
    {"path": "\x1b[2J\x07" * 1000},
])
def test_parameters_of_an_error_can_do_no_harm(params: object) -> None:
    with pytest.raises(WorkFailed) as caught:
        Machine(line({"v": 1, "type": "error", "code": "machine.disk_full", "params": params})).store("models")
    error = caught.value
    said = str(error) + json.dumps(error.to_json())
    assert error.code == "machine.disk_full" and error.params["machine"] == "DL" and error.details == []
    assert "\x1b" not in said and "<class" not in said and "__main__" not in said and len(said) < 40_000


def test_an_error_that_nobody_knows_is_told_in_words() -> None:
    with pytest.raises(WorkFailed) as caught:
        Machine(line({"v": 1, "type": "error", "code": "weather.rain", "params": {"a": 1}})).store("models")
    assert caught.value.code == "machine.unknown_error" and "weather.rain" in caught.value.what


@pytest.mark.parametrize("value", [{}, {"x": 1}, [1], 10 ** 18, "\x1b", None, "x" * 10_000])
def test_no_parameter_breaks_a_sentence(value: Any) -> None:
    """Every sentence with every kind of value: formats for numbers get strings, and the other way round."""
    for entry in texts.catalogue("en")._catalog:  # type: ignore[attr-defined]
        texts.t(str(entry), **dict.fromkeys(("machine", "path", "done", "total", "name", "count", "seconds", "file"), value))


@pytest.mark.parametrize("models", [
    None, {}, "x", [1], [{}], [{"model": 5}], [{"model": "m", "path": "relative"}], [{"model": "m", "path": 5}],
    [{"model": "m", "path": "/x", "classes": [5]}], [{"model": "m", "path": "/x", "classes": ["x" * 10_000]}],
    [{"model": "m", "path": "/x", "classes": {}}], [{"model": "m", "path": "/x", "size": "big"}], [{"model": "x" * 300}],
])
def test_lists_of_models_that_make_no_sense(models: object) -> None:
    with pytest.raises(MachineError) as caught:
        wire.to_models({"models": models}, "DL")
    assert caught.value.code == "machine.nonsense"


def test_models_that_no_command_could_name_are_left_out() -> None:
    names = ["good-001", "../../etc", "-rf", ".hidden", "a b", "a\nb", "", "x" * 101]
    found = wire.to_models({"models": [{"model": name, "path": "/m/x", "classes": ["\x1b[31mcat"]} for name in names]}, "DL")
    assert [(one["model"], one["classes"]) for one in found] == [("good-001", ["cat"])]


def test_runs_that_make_no_sense_are_left_out() -> None:
    runs = [{"id": "20261121-101500-train-3fa9", "state": "running", "program": "gpu_server/train.py", "params": {}},
            {"id": "../x", "state": "done", "program": "p"}, {"id": 5}, {"id": "ok", "state": 5, "program": "p"}]
    asked = Machine(line({"v": 1, "type": "runs", "now": 1.0, "runs": runs}))
    assert [one["id"] for one in asked.jobs()] == ["20261121-101500-train-3fa9"]
    with pytest.raises(MachineError):
        Machine(line({"v": 1, "type": "runs", "now": 1.0, "runs": 5})).jobs()


# ---- events ----------------------------------------------------------------------------------------------------------

EVENTS: dict[str, dict[str, Any]] = {
    "progress": {"done": 1, "total": 2, "unit": "images", "eta_s": 1.0, "what": "train.features"},
    "log": {"level": "info", "code": "train.scratch", "params": {}},
    "metric": {"epoch": 1, "epochs": 3, "train_loss": 0.1, "train_accuracy": 0.5, "val_loss": 0.2, "val_accuracy": None,
               "lr": None, "images_per_s": 3},
    "prediction": {"frame": 1, "t": 1.5, "class": "cat", "class_index": 0, "confidence": 0.5, "probabilities": {"cat": 0.5},
                   "lit": [12], "smoothed": {"cat": 0.5}, "ms": {"capture": 1.0}, "file": None},
    "health": {"temperatures": {"CPU": 41.5}, "throttled": ["cpu"], "memory": {"total_mb": 3956}, "power_mode": "MAXN"},
    "building": {"seconds": 41.0, "available_mb": 310, "swap_free_mb": None, "line": "[TRT]"},
}


def speak(event: Event) -> None:
    """All that the terminal and the window make of an event."""
    json.dumps(event.to_json(), allow_nan=False, ensure_ascii=False).encode("utf-8")
    for words in ("text", "worrying"):
        assert "\x1b" not in str(getattr(event, words, ""))


@QUICK
@given(st.sampled_from(sorted(EVENTS)), st.data())
def test_an_event_is_ours_or_nonsense_and_nothing_else(kind: str, data: st.DataObject) -> None:
    raw = {"v": 1, "type": kind, **EVENTS[kind]}
    for key in data.draw(st.lists(st.sampled_from(sorted(EVENTS[kind])), min_size=1, max_size=3)):
        raw[key] = data.draw(JSON)
    try:
        event = wire.to_event(answers.decode(line(raw)), "train", "DL")
    except answers.Nonsense:
        return
    assert event is not None
    speak(event)


@pytest.mark.parametrize(("kind", "key", "value"), [
    ("progress", "done", math.inf), ("progress", "done", 10 ** 400), ("progress", "done", True), ("progress", "unit", {}),
    ("metric", "epoch", 2.5), ("metric", "train_accuracy", 7), ("metric", "epochs", -1), ("metric", "train_loss", None),
    ("prediction", "probabilities", {"cat": "much"}), ("prediction", "probabilities", {str(n): 0.1 for n in range(2000)}),
    ("prediction", "lit", ["all"]), ("prediction", "class", ["cat"]), ("prediction", "lit", list(range(100))),
    ("prediction", "ms", {"capture": "long"}), ("prediction", "ms", [1]), ("prediction", "smoothed", {"cat": 2}),
    ("health", "temperatures", {"CPU": "hot"}), ("health", "temperatures", {"CPU": 1e9}), ("health", "throttled", "cpu"),
    ("health", "memory", {"total_mb": -1}), ("health", "temperatures", {str(n): 1 for n in range(50)}),
    ("building", "seconds", -1), ("building", "available_mb", 0.5), ("building", "line", None),
    ("log", "code", "../x"), ("log", "code", None), ("log", "level", "loud"),
])
def test_events_that_make_no_sense(kind: str, key: str, value: object) -> None:
    with pytest.raises(answers.Nonsense):
        wire.to_event({"v": 1, "type": kind, **EVENTS[kind], key: value}, "train", "DL")


class Follower:
    """Follows a job whose machine says these messages."""

    def __init__(self, *messages: object) -> None:
        self.events: list[Event] = []
        said = [line(message) for message in messages]

        class Runner:
            name = "DL"
            patience_s = 0.0

            def runner(self, *words: str) -> Scripted:
                return Scripted(*said)

        self.job = Job(Runner(), "run")  # type: ignore[arg-type]

    def follow(self) -> Any:
        return wire.follow(self.job, "train", "DL", self.events.append, CancelToken())


END = {"v": 1, "type": "end", "state": "done", "exit": {"v": 1, "code": 0, "signal": None, "cancelled": False}}


def event(**fields: Any) -> dict[str, Any]:
    return {"v": 1, "type": "event", "end": 1, "event": {"v": 1, **fields}}


def test_events_that_make_no_sense_are_passed_over() -> None:
    follower = Follower(event(type="metric", epoch="x"), event(type="log", code=5), event(type="error", code=["x"]),
                        event(type="log", code="train.end"), event(type=7), END)
    assert follower.follow() == {}
    assert [one.code for one in follower.events if isinstance(one, Log)] == ["train.end"]


@pytest.mark.parametrize("message", [
    {"v": 1, "type": "event", "end": 1, "event": 5}, {"v": 1, "type": "event", "event": {}, "end": "x"},
    {"v": 1, "type": "event", "event": {"v": 1}, "end": -5}, {"v": 1, "type": "log", "end": 1, "text": 5},
    {"v": 1, "type": "log", "end": 1, "text": "x" * 200_000}, {"v": 1, "type": "end", "state": "perhaps", "exit": None},
    {"v": 1, "type": "end", "state": "failed", "exit": [1]}, {"v": 1, "type": "end", "state": "failed", "exit": {"code": "x"}},
    {"v": 1, "type": {}}, {"v": 1},
])
def test_messages_that_make_no_sense_end_the_following(message: object) -> None:
    with pytest.raises(MachineError) as caught:
        Follower(message).follow()
    assert caught.value.code == "machine.nonsense"


@pytest.mark.parametrize("exit_code", [4294967295, -1, 10 ** 15, 0.5, None])
def test_exit_codes_are_only_told(exit_code: float | None) -> None:
    with pytest.raises(AiNanoError) as caught:
        Follower({**END, "state": "failed", "exit": {"code": exit_code, "signal": None}}).follow()
    assert caught.value.code == "job.failed" and str(caught.value)


def test_a_programs_output_is_cleaned_for_the_terminal() -> None:
    follower = Follower({"v": 1, "type": "log", "end": 9, "text": "\x1b[2J\x1b]0;owned\x07one\ntwo\x9b31m\n"}, END)
    follower.follow()
    assert [one.raw for one in follower.events if isinstance(one, Log)] == ["one", "two\ufffd31m"]


def test_a_job_that_ends_never_although_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that all is gone, and then goes on talking for ever."""
    monkeypatch.setattr("ai_nano.machines.job.END_S", 0.2)

    class Chatter(Scripted):
        def readline(self, timeout: float) -> bytes:
            return line({"v": 1, "type": "alive"})

    class Runner:
        name = "DL"
        patience_s = 1.0

        def runner(self, *words: str) -> Scripted:
            return Chatter()

        def runner_result(self, *words: str) -> dict[str, Any]:
            return {"gone": True}

    cancel = CancelToken()
    cancel.cancel()
    end: JobEnd = Job(Runner(), "run").follow(lambda raw: None, lambda text: None, cancel)  # type: ignore[arg-type]
    assert end.state == "cancelled"


@pytest.mark.parametrize("gone", [None, "yes", 1])
def test_a_cancel_that_is_answered_with_nonsense(gone: object) -> None:
    job = Job(Machine(line({"v": 1, "type": "cancelled", "id": "x", "gone": gone})), "run")
    with pytest.raises(MachineError) as caught:
        job.cancel()
    assert caught.value.code == "machine.nonsense"


@pytest.mark.parametrize("read", [answers.number, answers.count, answers.fraction, answers.flag, answers.text, answers.code,
                                  answers.path, answers.model, answers.mapping, answers.items, answers.objects, answers.texts])
@QUICK
@given(value=JSON)
def test_a_reader_gives_its_kind_or_refuses(read: Callable[..., object], value: object) -> None:
    try:
        found = read({"key": value}, "key")
    except answers.Nonsense:
        return
    kinds = {answers.number: (int, float), answers.count: int, answers.fraction: (int, float), answers.flag: bool,
             answers.mapping: dict, answers.items: list, answers.objects: list, answers.texts: list}
    assert isinstance(found, kinds.get(read, str))
