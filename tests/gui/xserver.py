"""A display of our own: Xvfb, an X server that draws into memory. It has no window manager."""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from types import TracebackType

from Xlib.display import Display

_START_S = 20.0
_STOP_S = 5.0


class XServer:
    """A running Xvfb; `name` is what DISPLAY has to say. Raises RuntimeError when it does not start.

    Xvfb chooses a free display number itself (-displayfd), so that several runs of the tests do not meet. It ends with
    its last client (-terminate); the connection held here keeps it alive, and ends it also where this process is killed.
    """

    def __init__(self, width: int = 1280, height: int = 1024) -> None:
        read_end, write_end = os.pipe()
        with tempfile.TemporaryFile() as words:
            try:
                self._process = subprocess.Popen(
                    ["Xvfb", "-displayfd", str(write_end), "-screen", "0", f"{width}x{height}x24", "-dpi", "96",
                     "-nolisten", "tcp", "-terminate"],
                    stdin=subprocess.DEVNULL, stdout=words, stderr=words, pass_fds=[write_end])  # fmt: skip
            except OSError as error:
                os.close(read_end)
                raise RuntimeError(f"Xvfb cannot be started ({error}): is the package xvfb installed?") from error
            finally:
                os.close(write_end)
            try:
                number = _read_line(read_end)
            finally:
                os.close(read_end)
            if not number:
                self._end()
                words.seek(0)
                raise RuntimeError(f"Xvfb did not start: {words.read().decode(errors='replace').strip()}")
        self.name = f":{number}"
        try:
            self._connection = Display(self.name)
        except BaseException:
            self._end()
            raise

    def close(self) -> None:
        """Ends the server. Programs that still show windows on it lose their connection."""
        self._connection.close()
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> XServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _read_line(descriptor: int) -> str:
    """The one line that the server writes when it is ready; empty when it ended or stayed silent."""
    line = b""
    deadline = time.monotonic() + _START_S
    while not line.endswith(b"\n"):
        if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return ""
        part = os.read(descriptor, 64)
        if not part:
            return ""
        line += part
    return line.decode().strip()
