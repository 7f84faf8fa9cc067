"""What an SSH machine and this computer have in common: programs, short operations, jobs."""

import json
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ai_nano.core import answers, wire
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import MachineError, WorkFailed
from ai_nano.machines.channel import Channel, first_line
from ai_nano.machines.job import PATIENCE_S, Job
from ai_nano.machines.onlooker import Onlooker

ANSWER_TIMEOUT_S = 60.0
# Of a machine that says meanwhile that it is alive.
ALIVE_TIMEOUT_S = 300.0
MOST_ALIVE = 1000
LAST_WORDS_S = 2.0
# Between two looks whether somebody has cancelled.
SLICE_S = 0.5
START_ATTEMPTS = 3
START_RETRY_S = 1.0


class ProgramMachine:
    """Runs programs of `remote/` by exec; where and how, the subclasses say."""

    name: str
    # How long a followed job may be out of reach before the laptop gives up following it (it runs on); None: for ever.
    patience_s: float | None = PATIENCE_S
    # Who starts jobs from here, for others who see them in a list.
    student: str | None = None

    def exec_program(self, program: str, *words: str) -> Channel:
        """Start `PYTHON PROGRAMS/<program> --root ROOT words...`; the programs are put there first if need be."""
        raise NotImplementedError

    def store(self, operation: str, *words: str) -> Mapping[str, Any]:
        return self._answer(self.exec_program("shared/store.py", operation, *words))

    def board(self, operation: str, *words: str) -> Mapping[str, Any]:
        return self._answer(self.exec_program("jetson_nano/board.py", operation, *words))

    def runner(self, *words: str) -> Channel:
        return self.exec_program("shared/runner.py", *words)

    def runner_result(self, *words: str, stdin: bytes = b"") -> Mapping[str, Any]:
        return self._answer(self.runner(*words), stdin)

    def start(self, label: str, program: str, params: Mapping[str, Any], lease_s: float | None = None,
              on_id: Callable[[str], None] = lambda run: None, schedule: Mapping[str, Any] | None = None) -> Job:
        run_id = f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S}-{label}-{secrets.token_hex(2)}"
        on_id(run_id)
        spec = {"v": 1, "id": run_id, "program": program, "params": dict(params), "lease_s": lease_s, "student": self.student,
                "laptop": socket.gethostname(), "schedule": None if schedule is None else dict(schedule)}
        self._start(json.dumps(spec, ensure_ascii=False).encode("utf-8"))
        return Job(self, run_id, leased=lease_s is not None)

    def _start(self, spec: bytes) -> None:
        """A connection that is cut meanwhile leaves open whether the run has started: its id, asked for again, tells."""
        for left in reversed(range(START_ATTEMPTS)):
            try:
                self.runner_result("start", stdin=spec)
                return
            except WorkFailed as error:
                if error.code != "run.exists" or left == START_ATTEMPTS - 1:
                    raise
                return
            except MachineError as error:
                broken_off = error.code in ("machine.lost", "machine.silent")
                if left == 0 or not (broken_off or left < START_ATTEMPTS - 1):
                    raise
                time.sleep(START_RETRY_S)

    def warm_up(self) -> None:
        """Nothing is loaded ahead here."""

    def attach(self, run_id: str) -> Job:
        return Job(self, run_id)

    def look_on(self, run_id: str) -> Onlooker:
        return Onlooker(self, run_id)

    def inventory(self) -> Mapping[str, Any]:
        channel = self.exec_program("shared/inventory.py")
        return self._long_answer(channel, b"", CancelToken(), lambda files, size: None)

    def remove(self, things: Sequence[Mapping[str, Any]], keep_models: bool, progress: Callable[[int, int], None],
               cancel: CancelToken) -> Mapping[str, Any]:
        request = {"v": 1, "type": "remove", "things": list(things), "keep_models": keep_models}
        data = json.dumps(request, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        return self._long_answer(self.exec_program("shared/removal.py"), data, cancel, progress)

    def jobs(self) -> Sequence[Mapping[str, Any]]:
        answer = self.runner_result("list")
        with answers.reading(self.name):
            # Ages by that machine's own clock, which may be an hour off.
            now = answers.number(answer, "now")
            return [run for raw in answers.objects(answer, "runs") if (run := wire.to_run(raw, now)) is not None]

    def room(self) -> Mapping[str, Any]:
        return self.runner_result("room")

    def doubt(self) -> None:
        """A channel has been silent for too long."""

    def _answer(self, channel: Channel, stdin: bytes = b"") -> Mapping[str, Any]:
        """The one JSON line that a short operation prints."""
        unsent: MachineError | None = None
        try:
            try:
                if stdin:
                    channel.write(stdin)
                channel.close_stdin()
            except MachineError as error:
                unsent = error
            # What ended before it had read all may have said why.
            line = self._answer_line(channel, ANSWER_TIMEOUT_S if unsent is None else LAST_WORDS_S)
            if line is None:
                raise unsent or MachineError("machine.silent", machine=self.name)
            status, errors = channel.finish()
        finally:
            channel.close()
        if not line:
            raise self._no_answer(status, errors)
        try:
            answer = answers.decode(line)
            kind = answers.text(answer, "type")
            wire.check_version(answer, self.name)
            if kind == "error":
                raise answers.error(answer, self.name)
        except answers.Nonsense as error:
            # Half a line is what a program leaves that died, or a connection that broke.
            whole = line.endswith(b"\n")
            raise MachineError("machine.nonsense", machine=self.name) if whole else self._no_answer(status, errors) from error
        return answer

    def _long_answer(self, channel: Channel, stdin: bytes, cancel: CancelToken,
                     progress: Callable[[int, int], None]) -> Mapping[str, Any]:
        """The last line of a program that says every second or so that it is alive. What is cancelled ends there by itself."""
        try:
            if stdin:
                channel.write(stdin)
            channel.close_stdin()
            heard = time.monotonic()
            while True:
                cancel.check()
                line = first_line(channel, self.name, SLICE_S)
                if line is None:
                    if time.monotonic() - heard > ANSWER_TIMEOUT_S:
                        raise MachineError("machine.silent", machine=self.name)
                    continue
                if not line.endswith(b"\n"):
                    raise self._no_answer(*channel.finish())
                heard = time.monotonic()
                with answers.reading(self.name):
                    message = answers.decode(line)
                    wire.check_version(message, self.name)
                    match answers.text(message, "type"):
                        case "removed":
                            progress(answers.count(message, "files"), answers.count(message, "bytes"))
                        case "error":
                            raise answers.error(message, self.name)
                        case "result":
                            return message
        finally:
            channel.close()

    def _answer_line(self, channel: Channel, timeout: float) -> bytes | None:
        """None where none came in time; signs of life before it put the time off, within bounds."""
        until = time.monotonic() + ALIVE_TIMEOUT_S
        for _ in range(MOST_ALIVE):
            line = first_line(channel, self.name, timeout)
            if not line or not _is_alive(line):
                return line
            if time.monotonic() > until:
                break
        return None

    def _no_answer(self, status: int, errors: str) -> MachineError:
        details = [answers.shown(one) for one in errors.strip().splitlines()[-10:]]
        if status in (126, 127):
            return MachineError("machine.no_python", machine=self.name, details=details)
        if status == -1:
            return MachineError("machine.lost", machine=self.name)
        return MachineError("machine.no_answer", machine=self.name, status=status, details=details)


def _is_alive(line: bytes) -> bool:
    try:
        return answers.decode(line).get("type") == "alive"
    except answers.Nonsense:
        return False
