"""This computer as a machine: the Nano's own program as a local process, over the same protocol (`try`)."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from ai_nano import resources
from ai_nano.core.cancel import CancelToken
from ai_nano.core.ports import Delivery, Parcel, Sent
from ai_nano.machines.base import ProgramMachine
from ai_nano.machines.channel import LocalChannel


class LocalMachine(ProgramMachine):
    """`root` is a folder of this computer; programs run from where they are installed."""

    name = "laptop"

    def __init__(self, root: Path) -> None:
        self._root = root

    def exec_program(self, program: str, *words: str) -> LocalChannel:
        self._root.mkdir(parents=True, exist_ok=True)
        script = resources.remote_folder() / program
        return LocalChannel([sys.executable, str(script), "--root", str(self._root), *words], cwd=str(self._root))

    def upload(self, parcel: Parcel, progress: Callable[[Sent], None], cancel: CancelToken) -> Delivery:
        assert parcel.model is not None, "nobody numbers models here"
        folder = self._root / "models" / parcel.model
        for file in parcel.files:
            cancel.check()
            target = folder / file.target
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file.source, target)
        return Delivery(parcel.model, len(parcel.files), len(parcel.files), path=str(folder.absolute()))

    def download(self, source: PurePosixPath, target: Path, cancel: CancelToken) -> None:
        shutil.copy2(self._root / source, target)

    def close(self) -> None:
        """Nothing is open."""
