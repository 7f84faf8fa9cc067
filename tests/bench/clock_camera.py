"""A camera on 127.0.0.1 whose pictures tell when they were drawn, and show a colour: MJPEG over HTTP, 30 a second.

    python -m tests.bench.clock_camera WIDTH HEIGHT

prints {"port": n} and ends with standard input. GET /camera.mjpg; GET /show?COLOUR answers {"t": unix time at which the first
frame of that colour was drawn}; GET /drawn answers {"t": the unix times at which its last frames were drawn}. The clock is a
row of black and white fields along the upper edge, milliseconds in binary with a sum to check them by: it outlives JPEG, and
a picture that was shrunk to 160 pixels. Below it a photograph shines through the colour, so that pictures are as large as a
camera's.
"""

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ai_nano.demo.stage_scene import Scene

Image = npt.NDArray[np.uint8]

FPS = 30
QUALITY = 87
COLOURS = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0)}
# The share of the colour in a pixel: enough for the network of tests/colours.py.
COLOUR_SHARE = 0.6
BACKGROUNDS = 6
VALUE_BITS, CHECK_BITS = 24, 4
FIELDS = VALUE_BITS + CHECK_BITS
# Frames whose times are remembered: ten minutes.
REMEMBERED = 600 * FPS
# Of the picture's height.
CLOCK_SHARE = 12
OLDEST_S = 60.0


def _check(value: int) -> int:
    return sum(value >> shift & 15 for shift in range(0, VALUE_BITS, CHECK_BITS)) % 16


def draw_clock(image: Image, t: float) -> None:
    value = round(t * 1000) % (1 << VALUE_BITS)
    bits = value << CHECK_BITS | _check(value)
    height, width = image.shape[:2]
    for place in range(FIELDS):
        white = bits >> (FIELDS - 1 - place) & 1
        image[:height // CLOCK_SHARE, width * place // FIELDS:width * (place + 1) // FIELDS] = 255 * white


def read_clock(image: Image, now: float) -> float | None:
    """How many seconds ago it was drawn; None where the clock cannot be read."""
    height, width = image.shape[:2]
    middle, bits = height // (2 * CLOCK_SHARE), 0
    for place in range(FIELDS):
        bits = bits << 1 | int(image[middle, (2 * place + 1) * width // (2 * FIELDS), 1] > 127)
    value = bits >> CHECK_BITS
    if _check(value) != bits & 15:
        return None
    age = ((round(now * 1000) - value) % (1 << VALUE_BITS)) / 1000
    return age if age < OLDEST_S else None


class Drawing:
    """The newest frame, drawn while somebody watches."""

    def __init__(self, width: int, height: int) -> None:
        scene = Scene(1, "show", 0, "cat")
        photographs = [cv2.resize(scene.frame(number * 5), (width, height)) for number in range(BACKGROUNDS)]
        self._backgrounds = {name: [np.uint8(COLOUR_SHARE * np.array(colour) + (1 - COLOUR_SHARE) * one) for one in photographs]
                             for name, colour in COLOURS.items()}
        self._changed = threading.Condition()
        self._colour = "red"
        self._number = self.viewers = 0
        self._jpeg = b""
        self._drawn: tuple[str, float] = ("", 0.0)
        self._times: deque[float] = deque(maxlen=REMEMBERED)
        self.closed = False

    def show(self, colour: str) -> float:
        """Returns when the first such frame is there."""
        with self._changed:
            self._colour = colour
            since = time.time()
            self._changed.wait_for(lambda: self._drawn[0] == colour and self._drawn[1] >= since or self.closed, 10)
            return self._drawn[1]

    def times(self) -> list[float]:
        with self._changed:
            return list(self._times)

    def next(self, number: int) -> tuple[int, bytes]:
        with self._changed:
            self._changed.wait_for(lambda: self._number > number or self.closed)
            return self._number, self._jpeg

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def work(self) -> None:
        due = time.monotonic()
        while not self.closed:
            due = max(due + 1 / FPS, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
            if not self.viewers:
                continue
            colour = self._colour
            image = self._backgrounds[colour][self._number % BACKGROUNDS].copy()
            t = time.time()
            draw_clock(image, t)
            jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
            with self._changed:
                self._number, self._jpeg = self._number + 1, jpeg
                self._times.append(t)
                if self._drawn[0] != colour:
                    self._drawn = (colour, t)
                self._changed.notify_all()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, drawing: Drawing) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, colour = self.path.partition("?")
                if path in ("/show", "/drawn"):
                    answer = {"t": drawing.show(colour)} if path == "/show" else {"t": drawing.times()}
                    body = json.dumps(answer).encode()
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                drawing.viewers += 1
                number = 0
                try:
                    while not drawing.closed:
                        number, jpeg = drawing.next(number)
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                        self.wfile.write(head.encode() + jpeg + b"\r\n")
                except OSError:
                    pass  # the viewer has gone
                finally:
                    drawing.viewers -= 1

            def log_message(self, format: str, *words: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


class ClockCamera:
    """Use with `with`."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)

    def __enter__(self) -> "ClockCamera":
        self._process = subprocess.Popen([sys.executable, "-m", "tests.bench.clock_camera", *map(str, self._size)],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._base = f"http://127.0.0.1:{json.loads(self._process.stdout.readline())['port']}"
        self.uri = f"{self._base}/camera.mjpg"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def show(self, colour: str) -> float:
        return float(self._ask(f"show?{colour}"))

    def drawn(self) -> list[float]:
        """The unix times of the last frames."""
        return list(self._ask("drawn"))

    def _ask(self, what: str) -> Any:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{self._base}/{what}", timeout=20) as reply:
            return json.load(reply)["t"]


def main(argv: Sequence[str]) -> int:
    cv2.setNumThreads(1)
    drawing = Drawing(int(argv[0]), int(argv[1]))
    server = Server(drawing)
    threads = [threading.Thread(target=drawing.work, daemon=True), threading.Thread(target=server.serve_forever, daemon=True)]
    for thread in threads:
        thread.start()
    print(json.dumps({"port": server.server_address[1]}), flush=True)
    sys.stdin.read()
    drawing.close()
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
