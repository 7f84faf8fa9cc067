"""A program that writes without end fills no disk, and whoever follows it is told what was left out."""

import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import Machine, Message, of

MIB = 1 << 20
MEGABYTES = 40
LINE = 100


@pytest.fixture(params=["disk", "memory"])
def machine_on(request: pytest.FixtureRequest, tmp_path: Path, nano_python: str) -> Iterator[Machine]:
    """A machine whose home lies in the tests' folder, or on a tmpfs."""
    if request.param == "disk":
        folder = tmp_path
    elif Path("/dev/shm").is_dir():
        folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    else:
        pytest.skip("no tmpfs here")
    (folder / "home").mkdir()
    machine = Machine(folder / "home", nano_python)
    yield machine
    machine.close()
    shutil.rmtree(folder / "home")


class Peak:
    """The most that a file took on the disk, looked at as often as it goes."""

    def __init__(self, path: Path) -> None:
        self.bytes = 0
        self._path = path
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.001):
            if self._path.exists():
                self.bytes = max(self.bytes, self._path.stat().st_blocks * 512)


def numbers(messages: list[Message], events: bool) -> list[int]:
    """The numbers of the lines that came, each of which must be whole."""
    if events:
        return [message["event"]["done"] for message in of(messages, "event") if "done" in message["event"]]
    lines = "".join(message["text"] for message in of(messages, "log")).splitlines(True)
    assert {len(line) for line in lines} == {LINE}
    return [int(line.split()[0]) for line in lines]


@pytest.mark.parametrize("events", [False, True])
def test_a_flood_is_bounded_and_followed(machine_on: Machine, events: bool) -> None:
    machine, limit = machine_on, 8 * MIB
    source = machine.programs / "shared" / "bounds.py"
    source.write_text(source.read_text().replace("EVENTS_LIMIT = 32", "EVENTS_LIMIT = 8"))  # reading events takes its time
    file = machine.run_path("a") / ("events.jsonl" if events else "output.log")
    with Peak(file) as peak:
        machine.start("a", do="flood", megabytes=MEGABYTES, events=events)
        messages = machine.follow_all("a")
    size = file.stat().st_size
    assert size >= MEGABYTES * 1_000_000 and file.stat().st_blocks * 512 <= limit
    print(f"peak {peak.bytes / MIB:.1f} MiB of a limit of {limit / MIB:.0f}")
    assert peak.bytes < 0.8 * size, "nothing was given back while it ran"
    # Whoever comes later sees the beginning, what is missing, and the newest; offsets stay those of the file.
    later = machine.follow_all("a")
    for heard in (messages, later):
        seen, skipped = numbers(heard, events), of(heard, "skipped")
        assert seen == sorted(set(seen)) and seen[0] == 0 and seen[-1] == MEGABYTES * 10000 - 1
        lost = sum(message["bytes"] for message in skipped)
        kind = "events" if events else "log"
        assert {message["what"] for message in skipped} <= {kind}
        # The last event is the only line of another length.
        assert len(seen) * LINE + lost == size // LINE * LINE
        assert [message["end"] for message in heard if "end" in message and message["type"] != "end"][-1] in (
            size, size // LINE * LINE)
        assert heard[-1]["state"] == "done"
    assert len(of(later, "skipped")) == 1 and numbers(later, events)[:1000] == list(range(1000))
    assert len(numbers(later, events)) * LINE >= limit // 2


def test_a_follow_that_stands_in_the_hole_goes_on_behind_it(machine: Machine) -> None:
    machine.start("a", do="flood", megabytes=20)
    machine.follow_all("a")
    messages = machine.follow_all("a", "--log", str(5_000_003))
    first = messages[[message["type"] for message in messages].index("skipped")]
    assert first["what"] == "log" and first["end"] == 5_000_003 + first["bytes"]
    assert numbers(messages, False)[0] == first["end"] // LINE and first["end"] % LINE == 0


def test_zeros_that_a_program_prints_are_not_a_hole(machine: Machine) -> None:
    machine.start("a", do="print", hex=[(b"a\0b\n" + bytes(100_000) + b"end\n").hex()])
    messages = machine.follow_all("a")
    assert "".join(message["text"] for message in of(messages, "log")) == "a\0b\n" + "\0" * 100_000 + "end\n"
    assert not of(messages, "skipped")


def test_where_nothing_can_be_given_back_the_program_is_ended(machine: Machine) -> None:
    """As on FAT: the same code, told that punching does not work there, with a smaller bound."""
    source = machine.programs / "shared" / "bounds.py"
    text = source.read_text()
    changed = text.replace("UNPUNCHED_LIMIT = 256", "UNPUNCHED_LIMIT = 16").replace(
        "    libc = ctypes", "    raise OSError(95, os.strerror(95))\n    libc = ctypes")
    assert changed.count("16 * MIB") == 1 and changed.count("OSError(95") == 1
    source.write_text(changed)
    machine.start("a", do="flood", megabytes=100_000)
    messages = machine.follow_all("a")
    assert messages[-1]["state"] == "failed" and messages[-1]["exit"]["code"] == 125
    errors = of([message["event"] for message in of(messages, "event")], "error")
    assert [(error["code"], error["params"]) for error in errors] == [("run.too_much_output", {"bytes": 16 * MIB})]


def test_the_error_is_told_though_the_program_goes_on_to_write_events(machine: Machine) -> None:
    """A line longer than any event is passed over, not kept in memory."""
    machine.start("a", do="finish")
    machine.follow_all("a")
    events = machine.run_path("a") / "events.jsonl"
    whole = events.read_bytes()
    events.write_bytes(b"x" * (5 * MIB) + b"\n" + whole)
    messages = machine.follow_all("a")
    assert [json.dumps(message["event"]) for message in of(messages, "event")] == [
        json.dumps(json.loads(line)) for line in whole.splitlines()]
    assert of(messages, "skipped")[0]["bytes"] == 4 * MIB
