"""Files over SFTP: what is missing or differs is sent under a temporary name and renamed when whole."""

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import paramiko

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, MachineError, WorkFailed
from ai_nano.core.ports import Upload

BLOCK = 1 << 18

Listing = Mapping[str, Sequence[int]]


class SftpTransfer:
    """`sftp()` gives the open client; all remote paths are below `root`."""

    def __init__(self, machine: str, root: str, sftp: Callable[[], paramiko.SFTPClient]) -> None:
        self._machine = machine
        self._root = PurePosixPath(root)
        self._sftp = sftp
        self._known_folders: set[PurePosixPath] = set()

    def upload(self, files: Sequence[Upload], there: Listing, progress: Callable[[int, int], None],
               cancel: CancelToken) -> int:
        """`there`: path relative to root -> (size, mtime in seconds). Returns the number of files sent."""
        total = done = sent = 0
        missing = []
        for file in files:
            status = file.source.stat()
            total += status.st_size
            if list(there.get(str(file.target), ())) == [status.st_size, int(status.st_mtime)]:
                done += status.st_size
            else:
                missing.append(file)
        progress(done, total)
        # Known for one upload only: what was there a minute ago may have been deleted since, by whomever.
        self._known_folders.clear()
        with self._errors():
            sftp = self._sftp()
            for file in missing:
                cancel.check()
                for count in self._put(sftp, file.source, self._root / file.target, cancel):
                    done += count
                    progress(done, total)
                sent += 1
        return sent

    def put_folder(self, files: Mapping[PurePosixPath, Path], target: PurePosixPath) -> None:
        """A whole folder that appears at once: filled beside `target`, then renamed. It may be there already."""
        self._known_folders.clear()
        with self._errors():
            sftp = self._sftp()
            aside = target.parent / f".new-{secrets.token_hex(4)}"
            for relative, source in files.items():
                for _ in self._put(sftp, source, aside / relative, CancelToken()):
                    pass
            try:
                sftp.rename(str(aside), str(target))
            except OSError:
                if not self._is_folder(sftp, target):
                    raise

    def has_folder(self, path: PurePosixPath) -> bool:
        with self._errors():
            return self._is_folder(self._sftp(), path)

    def download(self, source: PurePosixPath, target: Path, cancel: CancelToken) -> None:
        aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            with self._errors(), self._sftp().open(str(self._root / source), "rb") as stream:
                size = stream.stat().st_size
                stream.prefetch(size)
                with aside.open("wb") as out:
                    while block := stream.read(BLOCK):
                        cancel.check()
                        out.write(block)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)

    # ---- one file ----------------------------------------------------------------------------------------------------

    def _put(self, sftp: paramiko.SFTPClient, source: Path, target: PurePosixPath, cancel: CancelToken) -> Iterator[int]:
        """Send one file; yields the bytes of each block."""
        self._make_folder(sftp, target.parent)
        aside = target.with_name(f".{target.name}.part")
        status = source.stat()
        with source.open("rb") as stream, sftp.open(str(aside), "wb") as out:
            # Not waiting for each block's answer; errors still surface at close.
            out.set_pipelined(True)
            while block := stream.read(BLOCK):
                cancel.check()
                out.write(block)
                yield len(block)
        arrived = sftp.stat(str(aside)).st_size
        if arrived != status.st_size:
            raise WorkFailed("transfer.cut", machine=self._machine, file=target, arrived=arrived, size=status.st_size)
        sftp.utime(str(aside), (status.st_atime, int(status.st_mtime)))
        sftp.posix_rename(str(aside), str(target))

    def _make_folder(self, sftp: paramiko.SFTPClient, folder: PurePosixPath) -> None:
        if folder in self._known_folders or folder == folder.parent:
            return
        if not self._is_folder(sftp, folder):
            self._make_folder(sftp, folder.parent)
            try:
                sftp.mkdir(str(folder))
            except OSError:
                if not self._is_folder(sftp, folder):
                    raise
        self._known_folders.add(folder)

    def _is_folder(self, sftp: paramiko.SFTPClient, path: PurePosixPath) -> bool:
        try:
            return stat.S_ISDIR(sftp.stat(str(path)).st_mode or 0)
        except FileNotFoundError:
            return False

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except AiNanoError:
            raise
        except (paramiko.SSHException, EOFError, ConnectionError) as error:
            raise MachineError("machine.lost", machine=self._machine) from error
        except OSError as error:
            if str(error) == "Socket is closed":
                raise MachineError("machine.lost", machine=self._machine) from error
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> AiNanoError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return WorkFailed("transfer.disk_full", machine=self._machine)
        reason = os.strerror(error.errno) if error.errno else str(error)
        return WorkFailed("transfer.refused", machine=self._machine, reason=reason)
