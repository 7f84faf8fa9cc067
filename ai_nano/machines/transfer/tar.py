"""The tar peer: one stream into shared/transfer.py, which the machine runs (doc/design/transfers.md)."""

import json
import os
import secrets
import tarfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ai_nano.core import answers
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import WorkFailed
from ai_nano.core.files import sha256, storage_errors
from ai_nano.core.ports import Delivery, Parcel
from ai_nano.machines.transfer.parcel import ATTEMPTS, BLOCK, Item, Meter, Progress, changed, items
from ai_nano.machines.transfer.talk import Message, StreamChannel, Talk

PROGRAM = "shared/transfer.py"


class TarPeer:
    """`start(program, words...)` starts one of our programs there."""

    def __init__(self, machine: str, start: Callable[..., StreamChannel]) -> None:
        self._machine = machine
        self._start = start

    def deliver(self, parcel: Parcel, progress: Progress, cancel: CancelToken) -> Delivery:
        sent = linked = 0
        for _ in range(ATTEMPTS):
            found = items(parcel, self._machine)
            with closing(self._start(PROGRAM, "receive")) as channel:
                talk = Talk(channel, self._machine, cancel)
                talk.send(_announcement(parcel, found, self._machine))
                with answers.reading(self._machine):
                    answer = _Missing.read(found, talk.expect("missing"))
                if parcel.model is None:
                    parcel.on_name(answer.model)
                    parcel = replace(parcel, model=answer.model)
                elif answer.model != parcel.model:
                    raise talk.nonsense()
                meter = Meter(found, answer.files, progress)
                talk.on_received = meter.arrived
                if answer.files:
                    _stream(talk, answer.files, self._machine)
                with answers.reading(self._machine):
                    result = talk.expect("result")
                    differing = [_pick(found, index) for index in answers.items(result, "differs")]
                    path = answers.optional(answers.path, result, "path")
            sent, linked = sent + len(answer.files) - len(differing), linked + answer.linked
            if not differing:
                meter.arrived(sum(item.size - offset for item, offset in answer.files), len(answer.files))
                return Delivery(answer.model, len(found), sent, linked, path)
        raise WorkFailed("transfer.differs", machine=self._machine, file=differing[0].source)

    def fetch(self, source: PurePosixPath, target: Path, limit: int, cancel: CancelToken) -> None:
        model, name = source.parts[1], str(PurePosixPath(*source.parts[2:]))
        aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            with closing(self._start(PROGRAM, "send", model, name)) as channel:
                talk = Talk(channel, self._machine, cancel)
                with answers.reading(self._machine):
                    head = talk.expect("file")
                    size, expected = answers.count(head, "size"), answers.text(head, "sha256")
                if size > limit:
                    raise WorkFailed("transfer.too_large", machine=self._machine, file=name, size=size, limit=limit)
                with storage_errors(target), aside.open("wb") as out:
                    for block in talk.content(size):
                        out.write(block)
            with storage_errors(target):
                if sha256(aside) != expected:
                    raise WorkFailed("transfer.differs", machine=self._machine, file=name)
                aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Missing:
    """What the machine lacks, each file from its offset on."""

    model: str
    files: Sequence[tuple[Item, int]]
    linked: int

    @classmethod
    def read(cls, found: Sequence[Item], told: Message) -> "_Missing":
        """Raises Nonsense."""
        files = [_from_offset(found, one) for one in answers.items(told, "files")]
        indices = [item.index for item, _ in files]
        if indices != sorted(set(indices)):
            raise answers.Nonsense("files")
        return cls(answers.model(told, "model"), files, answers.count(told, "linked"))


def _from_offset(found: Sequence[Item], told: object) -> tuple[Item, int]:
    if not isinstance(told, list) or len(told) != 2:
        raise answers.Nonsense("files")
    item, offset = _pick(found, told[0]), told[1]
    if type(offset) is not int or not 0 <= offset <= item.size:
        raise answers.Nonsense("files")
    return item, offset


def _pick(found: Sequence[Item], index: object) -> Item:
    if type(index) is not int or not 0 <= index < len(found):
        raise answers.Nonsense("files")
    return found[index]


def _announcement(parcel: Parcel, found: Sequence[Item], machine: str) -> bytes:
    files = [[str(item.path), item.size, item.mtime, digest(item, machine) if parcel.compares else None] for item in found]
    message = {"v": 1, "type": "parcel", "model": parcel.model, "stem": parcel.stem or None, "above": parcel.above,
               "owner": parcel.owner, "like": list(parcel.like), "replaces": parcel.replaces,
               "workspaces": list(parcel.workspaces), "force": parcel.force, "spare": parcel.spare_bytes, "files": files}
    return json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"


def digest(item: Item, machine: str) -> str:
    """SHA-256 of the file here. WorkFailed `transfer.changed` where it can no longer be read."""
    try:
        return sha256(item.source)
    except OSError as error:
        raise changed(machine, item) from error


class _Outlet:
    """What tarfile writes into. Shut once the transfer has failed: tarfile writes its last block when it is collected."""

    def __init__(self, talk: Talk) -> None:
        self._talk: Talk | None = talk

    def write(self, data: bytes) -> int:
        if self._talk is not None:
            self._talk.send(data)
        return len(data)

    def shut(self) -> None:
        self._talk = None


def _stream(talk: Talk, missing: Sequence[tuple[Item, int]], machine: str) -> None:
    """The archive of what is missing; a name in it is number and hash, on which no path depends."""
    outlet = _Outlet(talk)
    archive = tarfile.open(fileobj=outlet, mode="w|", format=tarfile.PAX_FORMAT, bufsize=BLOCK)  # type: ignore[call-overload]
    try:
        for item, offset in missing:
            _add(archive, item, offset, machine)
        archive.close()
    finally:
        outlet.shut()
    talk.end()


def _add(archive: tarfile.TarFile, item: Item, offset: int, machine: str) -> None:
    try:
        whole_file = digest(item, machine)
        with item.source.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if (status.st_size, int(status.st_mtime)) != (item.size, item.mtime):
                raise changed(machine, item)
            stream.seek(offset)
            member = tarfile.TarInfo(f"{item.index}.{whole_file}")
            member.size = item.size - offset
            archive.addfile(member, stream)
    except OSError as error:  # it has gone, or has become shorter
        raise changed(machine, item) from error
