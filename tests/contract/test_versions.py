"""Programs of several versions on one machine, and how they get there."""

import fcntl
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import DEADLINE_S, REMOTE, Machine, Message, of
from receiver import before_each_program

A, B, C = "a" * 16, "b" * 16, "c" * 16
DAY_S = 24 * 3600


class Versions:
    """A machine with programs of versions A and B; what A's runner.py says has the key `by`."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.folder = machine.root / ".ai_nano" / "programs"
        for name in (A, B):
            shutil.copytree(machine.programs, self.folder / name)
        console = self.folder / A / "shared" / "console.py"
        text = console.read_text()
        message = 'message = {"v": VERSION, "type": type'
        console.write_text(text.replace(message, f'{message}, "by": "{A}"'))
        assert console.read_text() != text

    def use(self, name: str) -> Machine:
        self.machine.programs = self.folder / name
        return self.machine

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder))

    def age(self, name: str, days: float) -> None:
        os.utime(self.folder / name, (time.time() - days * DAY_S,) * 2)


@pytest.fixture
def versions(machine: Machine) -> Versions:
    return Versions(machine)


def test_a_run_is_followed_and_cancelled_by_those_who_started_it(versions: Versions) -> None:
    assert versions.use(A).start("a", do="obey")["by"] == A
    machine = versions.use(B)
    follower = machine.follow("a")
    follower.read_event("log", "probe.waiting")
    follower.send(type="set", threshold=0.5)
    assert follower.read_event("log", "probe.command")["params"]["command"]["threshold"] == 0.5
    assert machine.cancel("a")["by"] == A
    assert {message.get("by") for message in follower.read_all()} == {A}
    watcher = machine.watch("a")
    assert watcher.begin()["by"] == A
    assert "by" not in machine.call("runner.py", "list"), "the list is B's own"
    assert "by" not in machine.start("b", do="finish") and {m.get("by") for m in machine.follow_all("b")} == {None}


def test_offsets_go_along(versions: Versions) -> None:
    versions.use(A).start("a", do="finish")
    machine = versions.use(B)
    messages = machine.follow_all("a")
    second = of(messages, "event")[1]
    rest = machine.follow_all("a", "--events", str(second["end"]))
    assert [message["event"] for message in of(rest, "event")] == [message["event"] for message in of(messages, "event")[2:]]


def test_older_ones_are_told_the_end_in_bytes(versions: Versions) -> None:
    """They know numbers only."""
    follow = versions.folder / A / "shared" / "follow.py"
    line = next(line for line in follow.read_text().splitlines() if line.startswith("BEGINNING = "))
    follow.write_text(follow.read_text().replace(line, r'BEGINNING = re.compile(r"(\d+)()\Z")'))
    assert "|end" not in follow.read_text()
    versions.use(A).start("a", do="finish")
    messages = versions.machine.follow_all("a")
    last = versions.use(B).follow_all("a", "--events", "end-1", "--log", "end")
    assert {message["by"] for message in last} == {A} and [message["type"] for message in last] == ["end"]
    assert len(messages) > 1


def test_where_they_have_gone_the_others_do_it(versions: Versions) -> None:
    versions.use(A).start("a", do="wait")
    machine = versions.use(B)
    machine.follow("a").read_event("log", "probe.waiting")
    shutil.rmtree(versions.folder / A)
    assert machine.cancel("a") == {"v": 1, "type": "cancelled", "id": "a", "gone": True, "state": "cancelled"}


def test_old_programs_go_once_no_run_names_them(versions: Versions) -> None:
    shutil.copytree(versions.folder / B, versions.folder / C)
    versions.use(A).start("a", do="finish")
    versions.machine.follow_all("a")
    for name, days in ((A, 31), (B, 31), (C, 29)):
        versions.age(name, days)
    for name, days in ((".new-0", 2), (".new-1", 0.1), (".gone-1-x", 2)):
        (versions.folder / name).mkdir()
        versions.age(name, days)
    (versions.folder / "notes").mkdir()
    versions.age("notes", 99)
    versions.use(B).start("b", do="finish")
    versions.machine.follow_all("b")
    assert versions.names() == [".new-1", A, B, C, "notes"], "B is our own, a run names A, C is not old"
    versions.age(B, 31)
    shutil.rmtree(versions.machine.run_path("a"))
    versions.age(A, 31)
    versions.use(B).start("c", do="finish")
    versions.machine.follow_all("c")
    assert versions.names() == [".new-1", B, C, "notes"]
    assert time.time() - (versions.folder / B).stat().st_mtime < DAY_S, "it was used just now"


@pytest.mark.parametrize("program, words", [("store.py", ["models"]), ("runner.py", ["list"]), ("transfer.py", ["receive"])],
                         ids=["store", "runner", "transfer"])
def test_each_use_keeps_them(versions: Versions, program: str, words: list[str]) -> None:
    """A server on which somebody only looks at models, or sends them, for a month."""
    versions.age(A, 31)
    machine = versions.use(A)
    subprocess.run(machine.command(program, *words), input=b"", env=machine.environment, capture_output=True,
                   timeout=DEADLINE_S, check=True)
    assert time.time() - (versions.folder / A).stat().st_mtime < DAY_S


def test_what_somebody_begins_to_use_while_it_is_removed_stays(versions: Versions) -> None:
    versions.age(A, 31)
    before_each_program(versions.machine, """
import os
rename = os.rename
def late(source, target):
    if "/.gone-" in target:
        os.utime(source)
    rename(source, target)
os.rename = late
""")
    versions.use(B).start("b", do="finish")
    versions.machine.follow_all("b")
    assert versions.names() == [A, B]


def test_what_runs_from_elsewhere_removes_nothing(machine: Machine) -> None:
    """The laptop's own programs lie in a folder of its installation."""
    neighbour = machine.programs.parent / A
    neighbour.mkdir()
    os.utime(neighbour, (0, 0))
    machine.start("a", do="finish")
    machine.follow_all("a")
    assert neighbour.is_dir()


# ---- how they get there ----------------------------------------------------------------------------------------------

TEXT = (REMOTE / "shared" / "unpack.py").read_bytes()


class Sender:
    """Sends programs as the laptop does."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.folder = machine.home / "très loin" / "programs" / A

    def command(self, archive: bytes) -> list[str]:
        digest = hashlib.sha256(archive).hexdigest()
        return [self._machine.python, "-c", "import sys; exec(sys.stdin.buffer.read(int(sys.argv[1])))", str(len(TEXT)),
                str(self.folder.relative_to(self._machine.home)), digest]

    def send(self, archive: bytes, cut: int | None = None) -> Message:
        """`cut`: only so many bytes of the archive arrive."""
        done = subprocess.run(self.command(archive), input=TEXT + archive[:cut], env=self._machine.environment,
                              cwd=self._machine.home, capture_output=True, timeout=DEADLINE_S, check=True)
        assert done.stderr == b""
        message: Message = json.loads(done.stdout)
        return message

    @property
    def left(self) -> list[str]:
        return sorted(os.listdir(self.folder.parent)) if self.folder.parent.exists() else []


@pytest.fixture
def sender(machine: Machine) -> Iterator[Sender]:
    yield Sender(machine)


def packed(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(data) if kind == tarfile.REGTYPE else 0, "/etc/passwd"
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def test_programs_appear_whole(sender: Sender) -> None:
    archive = packed(("shared/runner.py", b"1"), ("shared/a.py", b"x = 1\n"), ("gpu_server/deep/b.py", b""))
    assert sender.send(archive) == {"v": 1, "type": "result"}
    assert (sender.folder / "shared/a.py").read_bytes() == b"x = 1\n" and (sender.folder / "gpu_server/deep/b.py").exists()
    assert sender.left == [A] and sender.folder.stat().st_mode & 0o777 == 0o755
    assert sender.send(archive)["type"] == "result" and sender.left == [A]


@pytest.mark.parametrize("empty", [True, False], ids=["empty", "missing"])
def test_what_a_power_cut_left_empty_gives_way(sender: Sender, empty: bool) -> None:
    (sender.folder / "shared").mkdir(parents=True)
    (sender.folder / "shared" / ("runner.py" if empty else "a.py")).touch()
    assert sender.send(packed(("shared/runner.py", b"new")))["type"] == "result"
    assert (sender.folder / "shared/runner.py").read_bytes() == b"new" and sender.left == [A]
    assert [path.name for path in (sender.folder / "shared").glob("*.py")] == ["runner.py"]


def test_another_laptop_s_whole_one_is_kept(sender: Sender) -> None:
    (sender.folder / "shared").mkdir(parents=True)
    (sender.folder / "shared/runner.py").write_bytes(b"there")
    assert sender.send(packed(("shared/runner.py", b"mine")))["type"] == "result"
    assert (sender.folder / "shared/runner.py").read_bytes() == b"there" and sender.left == [A]


def test_everything_is_on_the_disk_before_it_appears(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file and folder is synced before the rename, and the folder that it appears in after it."""
    monkeypatch.chdir(sender._machine.home)
    log = sender._machine.home / "log"
    spy = (b"import os\nfsync, rename = os.fsync, os.rename\n"
           b"def note(word): open('log', 'ab').write(os.fsencode(word) + b'\\n')\n"
           b"os.fsync = lambda fd: (fsync(fd), note('sync ' + os.readlink('/proc/self/fd/%d' % fd)))\n"
           b"os.rename = lambda a, b: (rename(a, b), note('rename'))\n")
    archive = packed(("shared/runner.py", b"1"), ("gpu_server/deep/b.py", b"2"))
    command = sender.command(archive)
    command[3] = str(len(spy) + len(TEXT))
    subprocess.run(command, input=spy + TEXT + archive, env=sender._machine.environment, timeout=DEADLINE_S, check=True)
    lines = log.read_text(encoding="utf-8").splitlines()
    before, after = lines[:lines.index("rename")], lines[lines.index("rename") + 1:]
    ends = sorted(line.partition("/.new-")[2].partition("/")[2] for line in before)
    there = [path.relative_to(sender.folder).as_posix() for path in sender.folder.rglob("*")]
    assert {"gpu_server", "gpu_server/deep", "gpu_server/deep/b.py", "shared", "shared/runner.py"} < set(there)
    assert ends == sorted(["", *there])
    assert after == [f"sync {sender.folder.parent}"]


@pytest.mark.parametrize("cut", [0, 1, 512, 1500])
def test_half_sent_never_appears(sender: Sender, cut: int) -> None:
    answer = sender.send(packed(("shared/a.py", b"x" * 2000)), cut)
    assert (answer["type"], answer["code"]) == ("error", "program.not_received") and sender.left == []


def test_several_laptops_at_the_same_time(sender: Sender) -> None:
    archive = packed(("shared/runner.py", b"1"), *((f"shared/{number}.py", b"x" * 500) for number in range(299)))
    senders = [subprocess.Popen(sender.command(archive), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                env=sender._machine.environment, cwd=sender._machine.home) for _ in range(4)]
    for each in senders:
        assert each.stdin is not None
        each.stdin.write(TEXT + archive)
    assert [json.loads(each.communicate(timeout=DEADLINE_S)[0])["type"] for each in senders] == ["result"] * 4
    assert sender.left == [A] and len(list((sender.folder / "shared").glob("*.py"))) == 300


class Waiting:
    """A laptop that sends its programs while another one has the turn."""

    def __init__(self, sender: Sender, archive: bytes, spy: bytes = b"") -> None:
        command = sender.command(archive)
        command[3] = str(len(spy) + len(TEXT))
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=sender._machine.home,
                                        env=sender._machine.environment)
        assert self.process.stdin is not None
        self.process.stdin.write(spy + TEXT + archive)
        self.process.stdin.close()

    def line(self) -> Message:
        assert self.process.stdout is not None
        message: Message = json.loads(self.process.stdout.readline())
        return message

    def end(self) -> list[str]:
        """What it says until it ends."""
        assert self.process.stdout is not None
        with self.process.stdout as out:
            said = [json.loads(line)["type"] for line in out]
        assert self.process.wait(DEADLINE_S) == 0
        return said


@pytest.fixture
def other_turn(sender: Sender) -> Iterator[int]:
    """The descriptor by which another laptop has the turn."""
    sender.folder.parent.mkdir(parents=True)
    lock = os.open(f"{sender.folder.parent}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(lock, fcntl.LOCK_EX)
    yield lock
    os.close(lock)


def test_only_one_of_a_class_unpacks_and_the_others_say_that_they_live(sender: Sender, other_turn: int) -> None:
    waiting = Waiting(sender, packed(("shared/runner.py", b"mine")))
    assert waiting.line() == waiting.line() == {"v": 1, "type": "alive"}
    assert sender.left == [], "it has not begun"
    fcntl.flock(other_turn, fcntl.LOCK_UN)
    assert waiting.end()[-1] == "result" and (sender.folder / "shared/runner.py").read_bytes() == b"mine"


def test_what_another_one_has_unpacked_is_not_unpacked_again(sender: Sender, other_turn: int) -> None:
    waiting = Waiting(sender, packed(("shared/runner.py", b"mine")))
    waiting.line()
    (sender.folder / "shared").mkdir(parents=True)
    (sender.folder / "shared/runner.py").write_bytes(b"theirs")
    assert waiting.end()[-1] == "result", "though the other one still has the turn"
    assert (sender.folder / "shared/runner.py").read_bytes() == b"theirs" and sender.left == [A]


def test_who_never_ends_his_turn_is_not_waited_for_without_end(sender: Sender, other_turn: int) -> None:
    """Its minute goes by in two seconds."""
    spy = b"import time\nnow = time.monotonic\ntime.monotonic = lambda: 30 * now()\n"
    waiting = Waiting(sender, packed(("shared/runner.py", b"mine")), spy)
    assert waiting.end()[-1] == "result" and (sender.folder / "shared/runner.py").read_bytes() == b"mine"


def test_a_laptop_that_goes_while_it_waits_leaves_nobody_behind(sender: Sender, other_turn: int) -> None:
    waiting = Waiting(sender, packed(("shared/runner.py", b"mine")))
    waiting.line()
    assert waiting.process.stdout is not None
    waiting.process.stdout.close()
    assert waiting.process.wait(DEADLINE_S) == 1 and sender.left == []


def test_programs_come_compiled(sender: Sender) -> None:
    """As what lies in their folder, which a traceback then names; one with a mistake is there all the same."""
    source = b"import sys\nprint(sys._getframe().f_code.co_filename)\n"
    archive = packed(("shared/runner.py", b"1"), ("shared/a.py", source), ("shared/b.py", b"mistake here\n"))
    assert sender.send(archive)["type"] == "result" and (sender.folder / "shared/b.py").is_file()
    done = subprocess.run([sender._machine.python, "-v", "-B", "-c", "import shared.a"], capture_output=True,
                          env=sender._machine.environment, cwd=sender.folder, timeout=DEADLINE_S, check=True)
    compiled = next((sender.folder / "shared" / "__pycache__").glob("a.*.pyc"))
    assert f"__pycache__/{compiled.name} matches" in done.stderr.decode()
    assert os.fsencode(sender.folder.relative_to(sender._machine.home)) in done.stdout


@pytest.mark.parametrize("name", ["../../x.py", "/tmp/x.py", "shared/../../x.py", "shared//x.py", "./x.py"])
def test_names_that_leave_the_folder_are_refused(sender: Sender, name: str) -> None:
    answer = sender.send(packed(("shared/a.py", b""), (name, b"x")))
    assert (answer["code"], answer["params"]) == ("program.not_received", {"name": name}) and sender.left == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_only_plain_files_are_taken(sender: Sender, kind: bytes) -> None:
    assert sender.send(packed(("shared/a", b""), kind=kind))["code"] == "program.not_received" and sender.left == []


def test_too_much_is_refused(sender: Sender) -> None:
    assert sender.send(packed(("a.py", bytes(17 << 20))))["code"] == "program.not_received" and sender.left == []


@pytest.mark.root
def test_a_full_disk_has_its_word(sender: Sender, tmp_path: Path) -> None:
    home = sender._machine.home
    archive = packed(("a.py", b"x" * 200_000))
    line = 'mount -t tmpfs -o size=64k none "$0" && cd "$0" && exec "$@"'
    done = subprocess.run(["unshare", "--mount", "sh", "-c", line, str(home), *sender.command(archive)], input=TEXT + archive,
                          env=sender._machine.environment, capture_output=True, timeout=DEADLINE_S, check=True)
    assert json.loads(done.stdout)["code"] == "machine.disk_full"
