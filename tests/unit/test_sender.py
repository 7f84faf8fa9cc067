"""The sender goes on by itself where that helps, and no longer than that."""

import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Cancelled, HostKeyError, MachineError
from ai_nano.core.ports import Delivery, Parcel, Sent
from ai_nano.machines.transfer import sender
from ai_nano.machines.transfer.sender import Sender

Deed = MachineError | Sent | Delivery
PARCEL = Parcel((), "0" * 16, stem="ada-animals")
WHOLE = Delivery("ada-animals-001", 1, 1)


class ScriptedPeer:
    """Does what it is told, one attempt after the other; the last for ever."""

    def __init__(self, *attempts: list[Deed]) -> None:
        self._attempts = list(attempts)
        self.parcels: list[Parcel] = []
        self.named = False

    def deliver(self, parcel: Parcel, progress: Callable[[Sent], None], cancel: CancelToken) -> Delivery:
        self.parcels.append(parcel)
        if parcel.model is None:
            parcel.on_name("ada-animals-001")
        for deed in self._attempts[0] if len(self._attempts) == 1 else self._attempts.pop(0):
            if isinstance(deed, MachineError):
                raise deed
            if isinstance(deed, Delivery):
                return deed
            progress(deed)
        raise AssertionError("an attempt has no end")

    def fetch(self, source: PurePosixPath, target: Path, limit: int, cancel: CancelToken) -> None:
        raise AssertionError("nothing is fetched here")


def error(code: str) -> MachineError:
    return MachineError(code, machine="DL", host="here", port=22, login="nano", reason="", tried=[], status=1)


def sent(done: int) -> Sent:
    return Sent(done, 100, 0, 1)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "RETRY_S", 0.01)


def send(tar: ScriptedPeer, sftp: ScriptedPeer | None = None, patience_s: float | None = 20.0,
         cancel: CancelToken | None = None) -> Delivery:
    made = Sender("auto", tar, sftp or ScriptedPeer([error("machine.no_sftp")]), lambda: patience_s)
    return made.upload(PARCEL, lambda one: None, cancel or CancelToken())


def test_it_goes_on_under_the_name_that_it_was_given() -> None:
    peer = ScriptedPeer([sent(10), error("machine.lost")], [error("machine.refused")], [sent(50), error("machine.unreachable")],
                        [WHOLE])
    assert send(peer) == WHOLE
    assert [parcel.model for parcel in peer.parcels] == [None, *["ada-animals-001"] * 3]


def test_a_connection_that_is_cut_while_it_is_made_is_tried_again() -> None:
    assert send(ScriptedPeer([error("machine.lost")], [WHOLE])) == WHOLE


def test_a_machine_that_broke_off_before_the_first_progress_is_waited_for() -> None:
    peer = ScriptedPeer([error("machine.lost")], [error("machine.refused")], [error("machine.unreachable")], [WHOLE])
    assert send(peer) == WHOLE


@pytest.mark.parametrize("code", ["machine.refused", "machine.unreachable", "machine.unknown_host", "machine.auth"])
def test_a_machine_that_is_not_there_at_the_beginning_is_not_waited_for(code: str) -> None:
    peer = ScriptedPeer([error(code)])
    with pytest.raises(MachineError) as caught:
        send(peer, patience_s=None)
    assert caught.value.code == code and len(peer.parcels) == 1


@pytest.mark.parametrize(("code", "times"), [("machine.nonsense", 1), ("machine.auth", 3)])
def test_what_another_connection_would_not_change_ends_it_with_any_patience(code: str, times: int) -> None:
    peer = ScriptedPeer([sent(10), error("machine.lost")], [error(code)])
    with pytest.raises(MachineError) as caught:
        send(peer, patience_s=None)
    assert caught.value.code == code and len(peer.parcels) == 1 + times


def test_another_host_key_ends_it() -> None:
    changed = HostKeyError("machine.host_key_changed", machine="DL", host="here", fingerprint="x", file="y")
    peer = ScriptedPeer([sent(10), error("machine.lost")], [changed])
    with pytest.raises(HostKeyError):
        send(peer, patience_s=None)


def test_patience_begins_anew_with_each_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(sender.time, "monotonic", lambda: now)

    class SlowPeer(ScriptedPeer):
        def deliver(self, *args: object) -> Delivery:
            nonlocal now
            now += 15
            return super().deliver(*args)  # type: ignore[arg-type]

    lost = error("machine.lost")
    assert send(SlowPeer([sent(10), lost], [lost], [sent(20), lost], [lost], [WHOLE])) == WHOLE
    with pytest.raises(MachineError):
        send(SlowPeer([sent(10), lost], [sent(10), lost], [sent(10), lost], [WHOLE]))


def test_cancelled_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "RETRY_S", 60.0)
    cancel = CancelToken()
    cancel.cancel()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        send(ScriptedPeer([sent(10), error("machine.lost")]), patience_s=None, cancel=cancel)
    assert time.monotonic() - began < 5


def test_auto_takes_sftp_where_no_program_runs_and_says_the_better_reason() -> None:
    assert send(ScriptedPeer([error("machine.no_answer")]), ScriptedPeer([WHOLE])) == WHOLE
    with pytest.raises(MachineError) as caught:
        send(ScriptedPeer([error("machine.no_python")]))
    assert caught.value.code == "machine.no_python"
