"""The stage: what the classroom's cameras see, served as ordinary network cameras on 127.0.0.1.

`python -m ai_nano.demo.stage --record FILE --seed N [--port 0]` prints one JSON line when ready,
`{"v":1,"type":"ready","port":n}`, and ends on SIGTERM or when its standard input ends.

    GET  /laptop.mjpg /nano.mjpg   MJPEG (multipart/x-mixed-replace), 1280x720, 30 frames a second; 503 while unplugged
    POST /command                  {"camera":"nano","show":"cat"|null,"phase":"record"|"show","take":0}
                                   {"camera":"nano","plugged":true|false}
                                   answers {"v":1,"type":"done","t":<unix time from which frames show it>}
    GET  /state                    {"v":1,"type":"state","cameras":{"laptop":{...},"nano":{...}}}

FILE gets a line at the start and at each change: {"v":1,"t","camera","show","phase","take","plugged"}.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import sys
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2

from ai_nano.demo.cards import CARDS, PhotographMissing
from ai_nano.demo.stage_camera import Record, StageCamera
from ai_nano.demo.stage_process import leave, say, told_to_end
from ai_nano.demo.stage_ranges import PHASES
from ai_nano.demo.stage_scene import warm_up

CAMERAS = ("laptop", "nano")
BOUNDARY = "frame"
_SEND_BUFFER = 128 * 1024  # bytes: about one frame, so that a slow viewer is not seconds behind
_LONGEST_COMMAND = 4096  # bytes


class BadCommand(ValueError):
    """A command that the stage does not understand; `field` names the part that is wrong."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


def carry_out(cameras: dict[str, StageCamera], body: bytes) -> float:
    """Carries out one command; returns the unix time from which frames show it. Raises BadCommand."""
    try:
        command = json.loads(body)
    except ValueError:
        raise BadCommand("JSON") from None
    if not isinstance(command, dict):
        raise BadCommand("JSON")
    name = command.get("camera")
    camera = cameras.get(name) if isinstance(name, str) else None
    if camera is None:
        raise BadCommand("camera")
    rest = set(command) - {"camera"}
    if rest == {"plugged"}:
        if not isinstance(command["plugged"], bool):
            raise BadCommand("plugged")
        return camera.plug(command["plugged"])
    for field in ("show", "phase", "take"):
        if field not in rest:
            raise BadCommand(field)
    if rest != {"show", "phase", "take"}:
        raise BadCommand(min(rest - {"show", "phase", "take"}))
    show, phase, take = command["show"], command["phase"], command["take"]
    if show is not None and (not isinstance(show, str) or show not in CARDS):
        raise BadCommand("show")
    if not isinstance(phase, str) or phase not in PHASES:
        raise BadCommand("phase")
    if type(take) is not int or take < 0:
        raise BadCommand("take")
    return camera.show(show, phase, take)


class _Handler(BaseHTTPRequestHandler):
    server: StageServer

    def do_GET(self) -> None:
        if self.path == "/state":
            states = {name: camera.state() for name, camera in self.server.cameras.items()}
            self._answer(HTTPStatus.OK, {"v": 1, "type": "state", "cameras": states})
            return
        camera = self.server.cameras.get(self.path.removeprefix("/").removesuffix(".mjpg"))
        if camera is None or not self.path.endswith(".mjpg"):
            self._refuse(HTTPStatus.NOT_FOUND, "stage.not_found", path=self.path)
            return
        with camera.watched(self._disconnect) as frames:
            if frames is None:
                self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "stage.unplugged", camera=camera.name)
                return
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Connection", "close")
            self.end_headers()
            with contextlib.suppress(OSError):  # the viewer went away
                for frame in frames:
                    head = (
                        f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(frame.jpeg)}\r\n"
                        f"X-Timestamp: {frame.t:.6f}\r\n\r\n"
                    )
                    self.wfile.write(head.encode() + frame.jpeg + b"\r\n")

    def do_POST(self) -> None:
        if self.path != "/command":
            self._refuse(HTTPStatus.NOT_FOUND, "stage.not_found", path=self.path)
            return
        try:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > _LONGEST_COMMAND:
                raise BadCommand("Content-Length")
            t = carry_out(self.server.cameras, self.rfile.read(int(length)))
        except BadCommand as error:
            self._refuse(HTTPStatus.BAD_REQUEST, "stage.bad_command", field=error.field)
            return
        self._answer(HTTPStatus.OK, {"v": 1, "type": "done", "t": t})

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps requests off stderr: the record is what says what happened."""

    def _refuse(self, status: HTTPStatus, code: str, **params: str) -> None:
        self._answer(status, {"v": 1, "type": "error", "code": code, "params": params})

    def _answer(self, status: HTTPStatus, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _disconnect(self) -> None:
        with contextlib.suppress(OSError):  # it may be closed already
            self.connection.shutdown(socket.SHUT_RDWR)


class StageServer(ThreadingHTTPServer):
    """Serves `cameras` on 127.0.0.1. Raises OSError where the port is taken."""

    daemon_threads = True

    def __init__(self, port: int, cameras: dict[str, StageCamera]) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.cameras = cameras

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle of a request is no error of the stage."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def get_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m ai_nano.demo.stage", description="Serves what the cameras see.")
    parser.add_argument("--record", type=Path, required=True, metavar="FILE", help="where to note what was shown when")
    parser.add_argument("--seed", type=int, required=True, metavar="N", help="what every take is drawn from")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 (the default) takes a free one")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the stage; exit code 0, 1 (port taken), 2 (FILE not writable) or 4 (photographs not installed)."""
    args = get_parser().parse_args(argv)
    cv2.setNumThreads(1)
    ended = threading.Event()
    with contextlib.ExitStack() as stack:
        stack.enter_context(told_to_end(ended.set))
        try:
            warm_up()
            record = stack.enter_context(contextlib.closing(Record(args.record)))
            cameras = {name: StageCamera(name, args.seed, record) for name in CAMERAS}
            server = stack.enter_context(StageServer(args.port, cameras))
        except PhotographMissing as error:
            say({"type": "error", "code": error.code, "params": error.params})
            return 4
        except OSError as error:
            return _failed_to_start(error, args)
        for camera in cameras.values():
            stack.enter_context(camera)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="stage-http")
        thread.start()
        say({"type": "ready", "port": server.server_address[1]})
        ended.wait()
        server.shutdown()
        thread.join()
    return 0


def _failed_to_start(error: OSError, args: argparse.Namespace) -> int:
    if error.filename is not None:
        say({"type": "error", "code": "stage.record_unwritable", "params": {"file": str(args.record)}})
        return 2
    say({"type": "error", "code": "stage.port_taken", "params": {"port": args.port}})
    return 1


if __name__ == "__main__":
    leave(main())
