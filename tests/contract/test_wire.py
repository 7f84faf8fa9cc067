"""What the programs really say has the keys and types of tests/data/wire_v1.jsonl, which the laptop's side reads too."""

import json
from pathlib import Path
from typing import Any

import pytest
from classification import Nano
from colours import MjpegCamera, make_images, make_model
from machine import Machine, Message, read_lines
from receiver import Receiver

EXAMPLES = read_lines(Path(__file__).resolve().parents[1] / "data" / "wire_v1.jsonl")
# Objects whose keys are names, not part of the format: only the kind of their values is.
MAPS = {"sha256", "probabilities", "packages"}
FREE = {"params", "event"}


def kind(value: Any) -> Any:
    """The shape of a value: JSON's types, with one kind of number; an empty list has the shape of any list."""
    if isinstance(value, dict):
        return {key: "free" if key in FREE else kinds(item.values()) if key in MAPS and isinstance(item, dict) else kind(item)
                for key, item in value.items()}
    if isinstance(value, list):
        return [kinds(value)]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return type(value).__name__
    return "number"


def kinds(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if kind(value) not in found:
            found.append(kind(value))
    return found


def fits(seen: Any, pinned: Any) -> bool:
    """Whether a value's kind is the pinned one; of a collection each kind of item must be pinned."""
    if isinstance(seen, dict) and isinstance(pinned, dict):
        return seen.keys() == pinned.keys() and all(fits(seen[key], pinned[key]) for key in seen)
    if isinstance(seen, list) and isinstance(pinned, list):
        return all(any(fits(item, allowed) for allowed in pinned) for item in seen)
    return bool(seen == pinned)


def check(line: str, message: Message) -> None:
    """Each field of the message has a kind that one example of the line has; and it has exactly their keys."""
    examples = [kind(each["example"]) for each in EXAMPLES if each["line"] == line]
    assert examples, f"no example of {line}"
    seen = kind(message)
    assert seen.keys() == examples[0].keys(), (line, message)
    for key, value in seen.items():
        assert any(fits(value, example[key]) for example in examples), (line, key, message)


def test_examples_of_a_line_have_the_same_keys() -> None:
    for each in EXAMPLES:
        check(each["line"], each["example"])


@pytest.mark.parametrize("change", [{"end": "1"}, {"end": None}, {"text": 1}, {"more": 1}])
def test_a_difference_is_found(change: Message) -> None:
    with pytest.raises(AssertionError):
        check("runner.log", {"v": 1, "type": "log", "end": 1, "text": "x", **change})


def test_store(machine: Machine) -> None:
    model = machine.root / "models" / "m"
    model.mkdir(parents=True)
    (model / "labels.txt").write_text("cat\ndog")
    check("store.clone", machine.store("clone", "m", "n"))
    check("store.models", machine.store("models"))
    check("store.delete", machine.store("delete", "n-001"))
    check("store.free", machine.store("free"))
    check("store.error", machine.store("delete", "n-001", code=1))


def test_transfer(machine: Machine) -> None:
    receiver = Receiver(machine)
    check("transfer.parcel", receiver.announce({"train/cat/1.jpg": b"one", "labels.txt": b"cat"}))
    check("transfer.missing", receiver.read("missing"))
    check("transfer.alive", receiver.read("alive"))
    receiver.send_all(pause_s=0.3)
    check("transfer.received", receiver.read("received"))
    check("transfer.result", receiver.read("result"))
    receiver.close()


def test_runner(machine: Machine) -> None:
    check("runner.spec", json.loads(machine.spec("a", do="finish")))
    check("runner.started", machine.start("a", do="finish"))
    for message in machine.follow_all("a"):
        check(f"runner.{message['type']}", message)
        if message["type"] == "event" and message["event"]["type"] != "result":
            check(f"event.{message['event']['type']}", message["event"])
    check("runner.started", machine.start("b", program="probe/nowhere.py"))
    assert machine.follow_all("b")[-1]["state"] == "failed"
    check("event.error", machine.events("b")[-1])
    check("runner.started", machine.start("c", do="wait"))
    follower = machine.follow("c")
    follower.read_event("log", "probe.waiting")
    message = follower.read_any()
    assert message["type"] == "alive"
    check("runner.alive", message)
    check("runner.cancelled", machine.cancel("c"))
    check("runner.list", machine.call("runner.py", "list"))
    machine.start("e", do="wait")
    machine.call("runner.py", "cancel", "e", "--by=-eve é", "--role=instructor", "--reason=The lesson is over.")
    check("runner.end", machine.follow_all("e")[-1])
    check("runner.room", machine.call("runner.py", "room"))
    check("runner.error", machine.call("runner.py", "cancel", "nowhere", code=1))
    machine.start("d", do="flood", megabytes=20)
    skipped = [message for message in machine.follow_all("d", "--log", "2000000") if message["type"] == "skipped"]
    assert skipped
    check("runner.skipped", skipped[0])
    for id in "abc":
        for file in ("spec", "pid", "exit"):
            check(f"file.{file}", json.loads((machine.run_path(id) / f"{file}.json").read_text()))


def test_frames(nano: Nano, camera: MjpegCamera) -> None:
    follower = nano.start(camera.uri)
    watcher = nano.machine.watch("c")
    check("frames.pictures", watcher.begin())
    seen = set()
    while seen < {"picture", "alive"}:
        if "picture" not in seen:
            camera.show("red")
        header, _ = watcher.read_any_within(0.1)
        if header is not None:
            seen.add(header["type"])
            check(f"frames.{header['type']}", header)
    for line in ("input.want", "input.keep"):
        check(line, next(each["example"] for each in EXAMPLES if each["line"] == line))
        watcher.send(json.dumps(next(each["example"] for each in EXAMPLES if each["line"] == line)).encode() + b"\n")
    while header is None or header["type"] != "kept":
        header, _ = watcher.read_any()
    check("frames.kept", header)
    follower.send(type="stop")
    follower.read_event("result")
    header = watcher.read()[0]
    while header["type"] == "picture":
        header = watcher.read()[0]
    check("frames.end", header)


def test_classify(machine: Machine, tmp_path: Path) -> None:
    model = make_model(machine.root / "models" / "m")
    images = make_images(tmp_path / "images", ["red", "grey", "blue"])
    machine.start("a", program="jetson_nano/classify.py", model_dir=str(model), camera=str(images), flip=None,
                  engine="onnxruntime", leds="file", pins=[12], leds_file=None, threshold=0.6, frames=None, seconds=None)
    events = machine.events("a")
    assert [event["type"] for event in events] == ["log", *["prediction"] * 3, "result"]
    for event in events:
        check("event.result.classify" if event["type"] == "result" else f"event.{event['type']}", event)
    for line in read_lines(machine.root / "leds.jsonl"):
        check("file.leds", line)
