"""The steps of doc/design/transfers.md over SFTP alone: name, list, link, send, move."""

import secrets
from pathlib import PurePosixPath

from paramiko import sftp as protocol

from ai_nano.core import names
from ai_nano.core.errors import WorkFailed
from ai_nano.core.figures import amount
from ai_nano.core.files import sha256
from ai_nano.core.ports import Delivery, Parcel
from ai_nano.core.project.workspace import PARTS
from ai_nano.machines.transfer.parcel import INCOMING, MODELS, Item, Meter, Progress, changed
from ai_nano.machines.transfer.sftp_calls import (
    REQUESTS_AT_ONCE,
    TIMES,
    Entry,
    Refusal,
    Remote,
    Space,
    Tree,
    ignored,
)
from ai_nano.machines.transfer.sftp_files import Files

FORGOTTEN_S = 7 * 24 * 3600
NAME_ATTEMPTS = 50
# Less free than this, and a write that failed did so for that reason.
FULL_BELOW_BYTES = 1 << 20
NETWORK = PurePosixPath("model.onnx")
ENGINES = (".engine", ".sha256sum", "engine.json")
_PART = ".part-"


class SftpDelivery:
    """One parcel over one connection; `room` may be asked afterwards, when the machine refused something."""

    def __init__(self, remote: Remote, machine: str, root: PurePosixPath, parcel: Parcel, found: list[Item],
                 progress: Progress) -> None:
        self._remote, self._machine, self._root = remote, machine, root
        self._parcel, self._items, self._progress = parcel, found, progress
        self._models = root / MODELS
        self._digests: dict[Item, str] = {}
        self._files: Files | None = None
        self._needed = 0

    async def carry_out(self) -> Delivery:
        remote, parcel = self._remote, self._parcel
        await remote.flow.gather(remote.ensure_folder(folder) for folder in (self._root / INCOMING, self._models))
        model = parcel.model or await self._new_name()
        target, aside = self._models / model, self._root / INCOMING / f"{model}.{parcel.owner}"
        there, waiting, old = await remote.flow.gather(remote.tree(folder) for folder in (target, aside, _replaced(target)))
        if old.there:
            there = await self._heal(target, there, old)
        # A Nano is switched off by its plug, and its model is few files.
        self._files = Files(remote, self._machine, aside, self._tell, flushes=parcel.replaces)
        if await self._is_there(target, there):
            await self._clear(aside, waiting)
            Meter(self._items, [], self._progress)
            return Delivery(model, len(self._items), 0)
        if not parcel.replaces:
            await self._keep_name(model, there)
        await remote.ensure_folder(aside)
        missing = await self._missing(aside, waiting)
        await self._make_folders(aside, waiting)
        linked = await self._link(aside, waiting, missing)
        missing = [item for item in missing if item not in linked]
        offsets = await self._tidy(aside, waiting, missing)
        with ignored():
            await self._forget_old(aside)
        await self._send(missing, offsets)
        await self._move(aside, target, there)
        return Delivery(model, len(self._items), len(self._files.sent), len(linked))

    async def room(self) -> tuple[Space | None, int]:
        """What is free on the machine, and what is still to be sent, in bytes."""
        left = self._needed - (self._files.acknowledged_bytes if self._files else 0)
        for folder in (self._models, self._root, self._root.parent):
            if (space := await self._remote.space(folder)) is not None:
                return space, max(0, left)
        return None, max(0, left)

    # ---- the name ----------------------------------------------------------------------------------------------------

    async def _new_name(self) -> str:
        stem = self._parcel.stem
        taken = [entry.name for entry in await self._remote.names(self._models)]
        first = 1 + max(self._parcel.above, names.highest_number(stem, taken))
        for number in range(first, first + NAME_ATTEMPTS):
            model = f"{stem}-{number:03d}"
            try:
                await self._remote.make_folder(self._models / model)
            except Refusal as refusal:
                if refusal.code != protocol.SFTP_FAILURE or not await self._exists(self._models / model):
                    raise
            else:
                self._parcel.on_name(model)
                return model
        raise WorkFailed("upload.no_name", machine=self._machine)

    async def _keep_name(self, model: str, there: Tree) -> None:
        """Reserved, if nobody did. WorkFailed `store.exists` where another model has the name."""
        if not there.is_empty:
            raise WorkFailed("store.exists", model=model)
        if not there.there:
            with ignored(protocol.SFTP_FAILURE):  # reserved at this moment: who moves first has it
                await self._remote.make_folder(self._models / model)

    async def _exists(self, path: PurePosixPath) -> bool:
        with ignored(protocol.SFTP_NO_SUCH_FILE):
            await self._remote.status(path)
            return True
        return False

    # ---- what is there -----------------------------------------------------------------------------------------------

    async def _missing(self, folder: PurePosixPath, tree: Tree) -> list[Item]:
        """What does not lie there whole, by size and time, or by content where the parcel compares that."""
        async def same(item: Item) -> bool:
            entry = tree.files.get(str(item.path))
            if entry is None or entry.size != item.size:
                return False
            if self._parcel.compares:
                return await self._same_content(folder / item.path, item)
            return entry.mtime == item.mtime & TIMES

        whole = await self._remote.flow.gather(same(item) for item in self._items)
        return [item for item, there in zip(self._items, whole, strict=True) if not there]

    async def _is_there(self, folder: PurePosixPath, tree: Tree) -> bool:
        """The whole parcel, and no image that it does not have; what training made beside it does not count."""
        paths = {str(item.path) for item in self._items}
        if not tree.there or any(path.split("/")[0] in PARTS and path not in paths for path in tree.files):
            return False
        return not await self._missing(folder, tree)

    async def _same_content(self, path: PurePosixPath, item: Item) -> bool:
        if item not in self._digests:
            try:
                self._digests[item] = sha256(item.source)
            except OSError as error:
                raise changed(self._machine, item) from error
        assert self._files is not None
        return await self._files.digest(path, item.size) == self._digests[item]

    async def _heal(self, target: PurePosixPath, there: Tree, old: Tree) -> Tree:
        """What a machine that died between the two renames of `_replace` left behind, and what is at `target` then."""
        if there.there:
            await self._clear(_replaced(target), old)
            return there
        await self._remote.move(_replaced(target), target)
        return old

    # ---- incoming ----------------------------------------------------------------------------------------------------

    async def _make_folders(self, aside: PurePosixPath, waiting: Tree) -> None:
        """Those of the parcel, level by level; what else has such a name goes away."""
        wanted = {parent for item in self._items for parent in item.path.parents} - {PurePosixPath(".")}
        in_the_way = [path for path in map(str, wanted) if path in waiting.files or path in waiting.others]
        await self._remote.remove_files([aside / path for path in in_the_way])
        for path in in_the_way:
            waiting.files.pop(path, None)
            waiting.others.pop(path, None)
        new = [path for path in wanted if str(path) not in waiting.folders]
        for depth in sorted({len(path.parts) for path in new}):
            await self._remote.flow.gather(
                self._remote.ensure_folder(aside / path) for path in new if len(path.parts) == depth)

    async def _link(self, aside: PurePosixPath, waiting: Tree, missing: list[Item]) -> set[Item]:
        """Which of the missing other models had: the same class folder, name, size and time, in whatever part."""
        if not missing or self._parcel.compares:
            return set()
        models = [self._models / model for model in self._parcel.like if model != aside.name.rpartition(".")[0]]
        folders = [model / part for model in models for part in PARTS]
        beside = await self._remote.flow.gather(self._remote.names_or_none(model) for model in models)
        trees = await self._remote.flow.gather(self._remote.tree(folder) for folder in folders)
        known = {(entry.name, entry.size, entry.mtime): model / entry.name
                 for model, entries in zip(models, beside, strict=True) for entry in entries or () if entry.is_file}
        known.update({(path, entry.size, entry.mtime): folder / path
                      for folder, tree in zip(folders, trees, strict=True) for path, entry in tree.files.items()})

        async def link(item: Item) -> bool:
            path = item.path.relative_to(item.path.parts[0]) if item.path.parts[0] in PARTS else item.path
            source = known.get((str(path), item.size, item.mtime & TIMES))
            if source is None:
                return False
            if str(item.path) in waiting.files:  # another version
                await self._remote.remove_files([aside / item.path])
            return await self._remote.link(source, aside / item.path)

        done = await self._remote.flow.gather((link(item) for item in missing), REQUESTS_AT_ONCE)
        return {item for item, linked in zip(missing, done, strict=True) if linked}

    async def _tidy(self, aside: PurePosixPath, waiting: Tree, missing: list[Item]) -> dict[Item, int]:
        """Remove what the parcel does not have, and say where each part that was begun ends."""
        parts = {str(item.path.parent / item.part_name): item for item in missing}
        offsets = {item: waiting.files[path].size for path, item in parts.items()
                   if path in waiting.files and waiting.files[path].size <= item.size}
        kept = {str(item.path) for item in self._items} - {str(item.path) for item in missing}
        kept |= {str(item.path.parent / item.part_name) for item in offsets}
        folders = {str(parent) for item in self._items for parent in item.path.parents}
        strangers = Tree(True, {path: entry for path, entry in waiting.folders.items() if path not in folders},
                         {path: entry for path, entry in waiting.files.items() if path not in kept}, dict(waiting.others))
        await self._remote.remove_below(aside, strangers)
        return offsets

    async def _forget_old(self, aside: PurePosixPath) -> None:
        """Remove what lies in `incoming` untouched for a week, by the machine's own clock, whatever that shows."""
        incoming = aside.parent
        others = [entry for entry in await self._remote.names(incoming) if entry.is_folder and entry.name != aside.name]
        if not others:
            return
        probe = aside / f".probe-{secrets.token_hex(4)}"
        await self._remote.make_folder(probe)
        before = (await self._remote.status(probe)).mtime - FORGOTTEN_S
        await self._remote.remove_folder(probe)
        for entry in others:
            if entry.mtime >= before:
                continue
            tree = await self._remote.tree(incoming / entry.name)
            # Whole files have the times of their sources; folders and parts have those of the last touch.
            touched = [*tree.folders.values(), *(one for one in tree.files.values() if one.name.startswith(_PART))]
            if all(one.mtime < before for one in touched):
                await self._clear(incoming / entry.name, tree)

    async def _clear(self, folder: PurePosixPath, tree: Tree) -> None:
        """Remove it; what the machine does not let go does no harm."""
        if tree.there:
            with ignored():
                await self._remote.remove_tree(folder, tree)

    # ---- sending -----------------------------------------------------------------------------------------------------

    async def _send(self, missing: list[Item], offsets: dict[Item, int]) -> None:
        assert self._files is not None
        self._needed = sum(item.size - offsets.get(item, 0) for item in missing)
        space = await self._remote.space(self._models)
        wanted = self._needed + self._parcel.spare_bytes
        if space is not None and (space.free_bytes < wanted or (missing and space.no_more_files)):
            raise full(self._machine, wanted, space)
        self._meter = Meter(self._items, [(item, offsets.get(item, 0)) for item in missing], self._progress)
        files = self._files
        await self._remote.flow.gather(files.send(item, offsets.get(item, 0)) for item in missing)

    def _tell(self, sent_bytes: int, whole: int) -> None:
        self._meter.arrived(sent_bytes, whole)

    # ---- the move ----------------------------------------------------------------------------------------------------

    async def _move(self, aside: PurePosixPath, target: PurePosixPath, there: Tree) -> None:
        if self._parcel.replaces and not there.is_empty:
            await self._replace(aside, target, there)
            return
        try:
            await self._remote.move(aside, target)
        except Refusal:
            now = await self._remote.tree(target)
            if await self._is_there(target, now):
                return  # by ourselves, over a connection that was thought lost
            if not now.is_empty:
                raise WorkFailed("store.exists", model=target.name) from None
            raise

    async def _replace(self, aside: PurePosixPath, target: PurePosixPath, there: Tree) -> None:
        """The old model stays under another name until the new one has its place."""
        engines = await self._engines(target, there)
        old = _replaced(target)
        await self._remote.move(target, old)
        try:
            await self._remote.move(aside, target)
        except Refusal:
            await self._remote.move(old, target)
            raise
        for name in engines:
            with ignored():
                await self._remote.move(old / name, target / name)
        await self._clear(old, await self._remote.tree(old))

    async def _engines(self, target: PurePosixPath, there: Tree) -> list[str]:
        """What TensorRT made of the same network, and need not make again: it takes a Nano minutes."""
        network = next((item for item in self._items if item.path == NETWORK), None)
        before: Entry | None = there.files.get(str(NETWORK))
        if network is None or before is None or before.size != network.size:
            return []
        if not await self._same_content(target / NETWORK, network):
            return []
        new = {str(item.path) for item in self._items}
        return [path for path in there.files if "/" not in path and path.endswith(ENGINES) and path not in new]


def full(machine: str, needed_bytes: int, space: Space) -> WorkFailed:
    """`needed_bytes` 0: nobody knows."""
    if needed_bytes == 0:
        return WorkFailed("transfer.disk_full", machine=machine)
    return WorkFailed("transfer.no_space", machine=machine, needed=amount(needed_bytes, "bytes"),
                      free=amount(space.free_bytes, "bytes"))


def _replaced(target: PurePosixPath) -> PurePosixPath:
    return target.with_name(f".replaced-{target.name}")
