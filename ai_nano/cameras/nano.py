"""`nano://NAME`: the camera of a Nano, through its program jetson_nano/look.py, which gives full pictures to this laptop.

The machine is given in by lab.py. Frames bear this computer's time: a Nano has no battery clock.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any

from ai_nano.cameras import jpeg
from ai_nano.cameras.opencv import load_cv2
from ai_nano.core import wire
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, CameraError, ContactLost, MachineError
from ai_nano.core.ports import Frame, JobEnd, Machine, Picture, RemoteJob
from ai_nano.core.room.config import NanoConfig

SCHEME = "nano://"
PROGRAM = "jetson_nano/look.py"
# What has a Nano's camera to itself while it runs.
HOLDERS = ("jetson_nano/classify.py", PROGRAM)
LEASE_S = 5.0
# For the first picture: what began at boot lets go of the camera, a CSI camera starts. The program gives up sooner.
FIRST_S = 40.0
# Between two pictures; the program calls a camera lost after 3 s.
SILENCE_S = 6.0
END_S = 5.0
DETACH_S = 1.0
MOST_PIXELS = 4096 * 3072
# Refusals have words of their own; here it is said which camera is out of reach.
OUT_OF_REACH = ("machine.lost", "machine.no_answer", "machine.refused", "machine.silent", "machine.unknown_host",
                "machine.unreachable", "machine.via_absent")


class NanoCamera:
    """`read` gives the newest frame, each once."""

    def __init__(self, uri: str, machine: Machine, nano: NanoConfig) -> None:
        """Starts the program there, and does not wait for its camera. Raises CameraError, and what logging in raises."""
        self.uri = uri
        self._machine = machine
        self._camera = nano.camera
        self._cancel = CancelToken()
        self._changed = threading.Condition()
        self._newest: tuple[Picture, float] | None = None
        self._error: AiNanoError | None = None
        self._last: int | None = None
        job = self._start(nano)
        self._threads = [threading.Thread(target=work, args=(job,), name=f"{work.__name__[1:]}-{uri}", daemon=True)
                         for work in (self._follow, self._watch)]
        for thread in self._threads:
            thread.start()

    def _start(self, nano: NanoConfig) -> RemoteJob:
        try:
            for run in self._machine.jobs():
                if run["state"] == "running" and run["program"] in HOLDERS:
                    raise CameraError("camera.nano_in_use", uri=self.uri, machine=nano.name, who=run["student"] or run["id"])
            params = {"camera": nano.camera, "flip": nano.flip, "engine": nano.engine, "size": None,
                      "container": nano.container if nano.engine == "tensorrt" else None}
            return self._machine.start("look", PROGRAM, params, lease_s=LEASE_S)
        except MachineError as error:
            if error.code not in OUT_OF_REACH:
                raise
            raise CameraError("camera.nano_unreachable", uri=self.uri, machine=nano.name, reason=error.what) from error

    def read(self) -> Frame:
        deadline = time.monotonic() + (FIRST_S if self._last is None else SILENCE_S)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._error is not None,
                                       max(0.0, deadline - time.monotonic()))
                newest, self._newest = self._newest, None
                error = self._error
            if newest is None:
                raise error or self._lost()
            picture, t = newest
            image = _decode(picture.jpeg)
            if image is not None:
                missed = 0 if self._last is None else max(0, picture.frame - self._last - 1)
                self._last = picture.frame
                return Frame(image, t, missed)

    def close(self) -> None:
        """The program there has ended then; where the Nano is out of reach, it ends by itself within seconds."""
        self._cancel.cancel()
        self._fail(self._lost())
        until = time.monotonic() + END_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._cancel.detach()
        for thread in self._threads:
            thread.join(DETACH_S)

    # ---- in threads --------------------------------------------------------------------------------------------------

    def _watch(self, job: RemoteJob) -> None:
        def came(picture: Picture) -> None:
            with self._changed:
                self._newest = picture, time.time()
                self._changed.notify_all()

        job.watch(came, self._cancel, adaptive=False)

    def _follow(self, job: RemoteJob) -> None:
        """Renews the lease."""
        def hear(event: Mapping[str, Any]) -> None:
            if event.get("type") == "log" and event.get("code") == "infer.camera_lost":
                self._fail(self._lost())

        try:
            end = job.follow(hear, lambda text: None, self._cancel)
            self._fail(self._ended(end, job.id))
        except AiNanoError as error:
            self._fail(self._lost() if isinstance(error, ContactLost) or error.code in OUT_OF_REACH else error)

    def _ended(self, end: JobEnd, run: str) -> AiNanoError:
        if end.state == "done":
            return CameraError("camera.ended", uri=self.uri)
        if end.state == "failed" and end.error is not None and end.error[0] == "infer.camera_missing":
            return CameraError("camera.nano_missing", uri=self.uri, machine=self._machine.name, camera=self._camera,
                               reason=end.error[1].get("error", ""))
        if end.ended_by is not None:
            return end.ended_by.error(self._machine.name, run)
        return self._lost() if end.state == "cancelled" else wire.job_error(end, "record", self._machine.name, run)

    def _lost(self) -> CameraError:
        return CameraError("camera.nano_lost", uri=self.uri, machine=self._machine.name)

    def _fail(self, error: AiNanoError) -> None:
        """The first cause counts."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()


def _decode(data: bytes) -> Any:
    """uint8 (height, width, 3) BGR; None for what is no JPEG, or one that is too large."""
    import numpy

    said = jpeg.size(data)
    if said is None or not 0 < said[0] * said[1] <= MOST_PIXELS:
        return None
    cv2 = load_cv2()
    try:
        return cv2.imdecode(numpy.frombuffer(data, dtype=numpy.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
