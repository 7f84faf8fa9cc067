"""The peer that needs nothing of a machine but SFTP (doc/design/transfers.md)."""

import errno
import os
import secrets
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

import paramiko
from paramiko import sftp as protocol

from ai_nano.core.answers import reading
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import MachineError, WorkFailed
from ai_nano.core.files import storage_errors
from ai_nano.core.ports import Delivery, Parcel
from ai_nano.machines.transfer.parcel import Progress, items
from ai_nano.machines.transfer.sftp_calls import Refusal, Remote, Space
from ai_nano.machines.transfer.sftp_delivery import FULL_BELOW_BYTES, SftpDelivery, full
from ai_nano.machines.transfer.sftp_files import fetch
from ai_nano.machines.transfer.sftp_flow import Flow

CHANNEL_TIMEOUT_S = 15.0
_ERRNOS = {protocol.SFTP_PERMISSION_DENIED: errno.EACCES, protocol.SFTP_NO_SUCH_FILE: errno.ENOENT}


def open_client(transport: paramiko.Transport, machine: str) -> paramiko.SFTPClient:
    """A client of its own on an open connection. MachineError `machine.no_sftp`, `machine.lost`, `machine.nonsense`."""
    try:
        channel = transport.open_session(timeout=CHANNEL_TIMEOUT_S)
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise MachineError("machine.lost", machine=machine) from error
    # The only way out of paramiko's wait for the subsystem.
    timer = threading.Timer(CHANNEL_TIMEOUT_S, _close, (channel,))
    timer.start()
    began = time.monotonic()
    try:
        channel.settimeout(CHANNEL_TIMEOUT_S)
        channel.invoke_subsystem("sftp")
        return paramiko.SFTPClient(channel)
    except (protocol.SFTPError, struct.error) as error:
        _close(channel)
        raise MachineError("machine.nonsense", machine=machine) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        silent = time.monotonic() - began >= CHANNEL_TIMEOUT_S
        _close(channel)
        raise MachineError("machine.lost" if silent or not transport.is_active() else "machine.no_sftp",
                           machine=machine) from error
    finally:
        timer.cancel()
        timer.join()


def _close(channel: paramiko.Channel | paramiko.SFTPClient) -> None:
    """Closing says so to the machine, which may be what fails."""
    with suppress(paramiko.SSHException, EOFError, OSError):
        channel.close()


class SftpPeer:
    """Constructing connects to nothing.

    `open_client` gives each call a client of its own, which is closed at its end: that ends what a cancelled transfer has
    under way, on both sides.
    """

    def __init__(self, machine_name: str, root: str, open_client: Callable[[], paramiko.SFTPClient]) -> None:
        self._machine = machine_name
        self._root = PurePosixPath(root)
        self._open_client = open_client

    def deliver(self, parcel: Parcel, progress: Progress, cancel: CancelToken) -> Delivery:
        """All steps, over one connection. MachineError, WorkFailed `store.exists` and `transfer.*`, Cancelled."""
        found = items(parcel, self._machine)
        with self._remote(cancel) as remote:
            delivery = SftpDelivery(remote, self._machine, self._root, parcel, found, progress)
            try:
                return remote.flow.run(delivery.carry_out())
            except Refusal as refusal:
                space, needed = remote.flow.run(delivery.room())
                raise self._refused(refusal, space, needed) from refusal

    def fetch(self, source: PurePosixPath, target: Path, limit: int, cancel: CancelToken) -> None:
        """One file of the machine's root, whole at `target` or not at all."""
        aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            with self._remote(cancel) as remote, storage_errors(target), aside.open("wb") as out:
                try:
                    remote.flow.run(fetch(remote, self._machine, self._root / source, out, limit))
                except Refusal as refusal:
                    raise self._refused(refusal) from refusal
            with storage_errors(target):
                aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)

    @contextmanager
    def _remote(self, cancel: CancelToken) -> Iterator[Remote]:
        cancel.check()
        client = self._open_client()
        try:
            channel = client.get_channel()
            assert channel is not None
            flow = Flow(channel, self._machine, cancel)
            try:
                with reading(self._machine):
                    yield Remote(flow)
            finally:
                flow.close()
        finally:
            _close(client)

    def _refused(self, refusal: Refusal, space: Space | None = None, needed: int = 0) -> WorkFailed:
        """SFTP has no word for a full disk: it says "Failure", and the space that is left says the rest."""
        if refusal.code not in _ERRNOS and space is not None and (
                space.free_bytes < max(needed, FULL_BELOW_BYTES) or space.no_more_files):
            return full(self._machine, needed, space)
        number = _ERRNOS.get(refusal.code)
        reason = os.strerror(number) if number else refusal.words or protocol.SFTP_DESC[protocol.SFTP_FAILURE]
        return WorkFailed("transfer.refused", machine=self._machine, reason=reason)
