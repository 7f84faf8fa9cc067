"""The camera of a running classification: may be pulled out and put back, and tells the laptop so."""

import time
from typing import Callable, Optional

from jetson_nano.sources import Frame, Source, SourceLost
from shared.wire import Failure, Run

# RTSP and a CSI camera take seconds until the first frame.
FIRST_FRAME_S = 15.0
# Without a frame for so long a camera counts as lost, even where its driver says nothing.
SILENCE_S = 2.5
RETRY_S = 1.0


class Camera:
    """Opens a source when first asked for a frame, and again every second while it is lost."""

    def __init__(self, run: Run, uri: str, open_source: Callable[[], Source], on_lost: Callable[[], None]) -> None:
        self._run = run
        self._uri = uri
        self._open_source = open_source
        self._on_lost = on_lost
        self._source: Optional[Source] = None
        self._seen = False
        self._lost = False
        self._retry_at = 0.0
        self._silent_since = 0.0

    def read(self, timeout_s: float) -> Optional[Frame]:
        """The next frame; None when none came in that time or the camera is lost.

        Raises SourceEnded, and Failure infer.camera_missing {camera, error} when there never was a frame.
        """
        try:
            source = self._source or self._reopen(timeout_s)
            frame = None if source is None else source.read(timeout_s)
            if frame is None:
                self._check_silence()
                return None
        except SourceLost as error:
            self._lose(str(error))
            return None
        self._silent_since = time.monotonic()
        self._seen = True
        if self._lost:
            self._lost = False
            self._run.log("infer.camera_back", camera=self._uri)
        return frame

    def close(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def _reopen(self, timeout_s: float) -> Optional[Source]:
        wait = self._retry_at - time.monotonic()
        if wait > 0:
            time.sleep(min(wait, timeout_s))
            return None
        self._source = self._open_source()
        self._silent_since = time.monotonic()
        return self._source

    def _check_silence(self) -> None:
        allowed = SILENCE_S if self._seen and not self._lost else FIRST_FRAME_S
        if self._source is not None and time.monotonic() - self._silent_since > allowed:
            raise SourceLost("gives no frames")

    def _lose(self, error: str) -> None:
        if not self._seen:
            raise Failure("infer.camera_missing", camera=self._uri, error=error)
        if not self._lost:
            self._lost = True
            self._on_lost()
            self._run.log("infer.camera_lost", level="warning", camera=self._uri)
        self._retry_at = time.monotonic() + RETRY_S
        self.close()
