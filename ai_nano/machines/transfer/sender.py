"""Sends parcels to one machine: chooses the peer, and goes on by itself when the connection was lost on the way."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from ai_nano.core import bundle
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import HostKeyError, MachineError
from ai_nano.core.ports import Delivery, Parcel, Sent
from ai_nano.machines.job import BELIEVED_AFTER
from ai_nano.machines.login import REFUSALS
from ai_nano.machines.transfer.parcel import Peer, Progress

RETRY_S = 1.0
# What is fetched and is no file of a bundle.
LARGEST_BYTES = 1 << 24
# Our programs do not run there: what an account says that may do SFTP and nothing else, and one without Python.
_NO_PROGRAMS = ("machine.no_python", "machine.no_answer")
# What another connection would not change.
_FINAL = (*_NO_PROGRAMS, "machine.no_sftp", "machine.nonsense")

T = TypeVar("T")

log = logging.getLogger(__name__)


class Sender:
    """`transfer` is auto, tar or sftp, as in config.json. `patience_s`: how long a lost machine is
    tried again, None: for as long as nobody cancels."""

    def __init__(self, transfer: str, tar: Peer, sftp: Peer, patience_s: Callable[[], float | None]) -> None:
        self._peers = {"tar": tar, "sftp": sftp}
        self._chosen: Peer | None = self._peers.get(transfer)
        self._patience_s = patience_s

    def upload(self, parcel: Parcel, progress: Progress, cancel: CancelToken) -> Delivery:
        """As Machine.upload."""
        furthest, refused, lost = -1, 0, False
        lost_since: float | None = None

        def watch(sent: Sent) -> None:
            nonlocal furthest, lost_since, lost
            if lost:
                lost = False
                asked.on_contact(True)
            if sent.done_bytes > furthest:
                furthest, lost_since = sent.done_bytes, None
            progress(sent)

        def named(model: str) -> None:
            nonlocal parcel
            asked.on_name(model)
            parcel = replace(parcel, model=model)

        asked = parcel
        parcel = replace(parcel, on_name=named)
        while True:
            try:
                return self._with_peer(lambda peer: peer.deliver(parcel, watch, cancel))
            except HostKeyError:
                raise
            except MachineError as error:
                now, patience = time.monotonic(), self._patience_s()
                lost_since = lost_since or now
                refused = refused + 1 if error.code in REFUSALS else 0
                # What is not there at the beginning is not waited for; what breaks off, at whatever moment, is.
                there = lost or furthest >= 0 or error.code == "machine.lost"
                if error.code in _FINAL or refused == BELIEVED_AFTER or not there or (
                        patience is not None and now - lost_since >= patience):
                    raise
                log.info("lost the machine while sending: %s", error.code)
                if not lost:
                    lost = True
                    asked.on_contact(False)
                cancel.wait(RETRY_S)
                cancel.check()

    def download(self, source: PurePosixPath, target: Path, cancel: CancelToken) -> None:
        """As Machine.download."""
        limit = bundle.LARGEST_BYTES.get(source.name, LARGEST_BYTES)
        self._with_peer(lambda peer: peer.fetch(source, target, limit, cancel))

    def _with_peer(self, work: Callable[[Peer], T]) -> T:
        """`auto` is tar, the quicker one, where our programs run; else sftp."""
        if self._chosen is not None:
            return work(self._chosen)
        try:
            done = work(self._peers["tar"])
        except MachineError as refused:
            if refused.code not in _NO_PROGRAMS:
                raise
            try:
                done = work(self._peers["sftp"])
            except MachineError as error:
                # Neither works: what keeps the programs from running is the more useful word.
                raise refused if error.code == "machine.no_sftp" else error from None
            self._chosen = self._peers["sftp"]
            return done
        self._chosen = self._peers["tar"]
        return done
