"""The programs of `remote/` as they travel: the files for one role, named by the hash of their content."""

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from ai_nano import resources

SHARED = "shared"
SERVER = "gpu_server"
NANO = "jetson_nano"


@dataclass(frozen=True)
class Programs:
    """`role` is gpu_server or jetson_nano; each travels with shared/."""

    role: str

    @cached_property
    def files(self) -> dict[PurePosixPath, Path]:
        """Relative path on the machine -> file here."""
        top = resources.remote_folder()
        found = {}
        for folder in (SHARED, self.role):
            for path in sorted((top / folder).rglob("*.py")):
                found[PurePosixPath(path.relative_to(top).as_posix())] = path
        return found

    @cached_property
    def name(self) -> str:
        """The folder's name: 16 hex digits of the SHA-256 over names and contents."""
        digest = hashlib.sha256()
        for relative, path in self.files.items():
            data = path.read_bytes()
            digest.update(f"{relative}\0{len(data)}\0".encode())
            digest.update(data)
        return digest.hexdigest()[:16]

    def archive(self) -> bytes:
        """A tar of the files, for remote/shared/unpack.py."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for relative, path in self.files.items():
                data = path.read_bytes()
                member = tarfile.TarInfo(str(relative))
                member.size, member.mode = len(data), 0o644
                archive.addfile(member, io.BytesIO(data))
        return packed.getvalue()

    def zipped(self) -> bytes:
        """`archive`, small: for remote/shared/in_memory.py."""
        return gzip.compress(self.archive(), mtime=0)

    def folder(self, root: str) -> PurePosixPath:
        return PurePosixPath(root) / ".ai_nano" / "programs" / self.name
