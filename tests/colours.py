"""A network that tells red, green and blue apart, and cameras that show them."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = ["red", "green", "blue"]
BGR = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0), "grey": (110, 120, 128)}
SIZE = 32


def image(colour: str) -> np.ndarray[Any, Any]:
    """48 x 64 pixels of one colour; the network is sure of each but grey, which it gives no class more than a half."""
    return np.full((48, 64, 3), BGR[colour], np.uint8)


def jpeg(colour: str) -> bytes:
    done, data = cv2.imencode(".jpg", image(colour))
    assert done
    return bytes(data)


def make_onnx(path: Path, classes: int = 3, input_name: str = "input_0", output_name: str = "output_0") -> None:
    """Mean of each channel, then softmax."""
    weights = np.eye(classes, 3, dtype=np.float32) * 2
    nodes = [helper.make_node("GlobalAveragePool", [input_name], ["mean"]),
             helper.make_node("Flatten", ["mean"], ["flat"]),
             helper.make_node("Gemm", ["flat", "weights"], ["scores"], transB=1),
             helper.make_node("Softmax", ["scores"], [output_name], axis=1)]
    graph = helper.make_graph(
        nodes, "colours", [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info(output_name, TensorProto.FLOAT, [1, classes])],
        [numpy_helper.from_array(weights, "weights")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def make_model(folder: Path, classes: list[str] = CLASSES) -> Path:
    """A model's folder as export leaves it."""
    folder.mkdir(parents=True)
    make_onnx(folder / "model.onnx")
    (folder / "labels.txt").write_text("\n".join(classes), encoding="utf-8")
    bundle = {
        "v": 1, "model": folder.name, "created": "2026-11-21T10:15:00Z", "classes": classes,
        "input": {"name": "input_0", "shape": [1, 3, SIZE, SIZE], "resize": "nearest", "colour": "RGB", "range": [0, 1],
                  "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        "output": {"name": "output_0", "shape": [1, 3], "activation": "softmax"},
        "sha256": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
                   for name in ("model.onnx", "labels.txt")}}
    (folder / "bundle.json").write_text(json.dumps(bundle), encoding="utf-8")
    return folder


def make_images(folder: Path, colours: list[str]) -> Path:
    folder.mkdir(parents=True)
    for number, colour in enumerate(colours):
        (folder / f"{number:03}.png").write_bytes(bytes(cv2.imencode(".png", image(colour))[1]))
    return folder


def make_clip(path: Path, colours: list[str]) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 50.0, (64, 48))
    for colour in colours:
        writer.write(image(colour))
    writer.release()
    return path


class MjpegCamera:
    """A camera on the network for one viewer; shows each frame once, and can be pulled out and put back."""

    def __init__(self, with_length: bool = True) -> None:
        self._with_length = with_length
        self._changed = threading.Condition()
        self._frames: list[bytes] = []  # those still to be shown
        self._viewers = 0
        self._plugged = True
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}/nano.mjpg"

    def show(self, *colours: str) -> None:
        self.show_jpegs(*[jpeg(colour) for colour in colours])

    def show_jpegs(self, *frames: bytes) -> None:
        with self._changed:
            self._frames += frames
            self._changed.notify_all()

    def show_latest(self, frame: bytes) -> None:
        """In place of what nobody has looked at yet."""
        with self._changed:
            self._frames = [frame]
            self._changed.notify_all()

    def unplug(self) -> None:
        with self._changed:
            self._plugged = False
            self._frames = []
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._viewers == 0, 30)

    def plug_in(self) -> None:
        with self._changed:
            self._plugged = True

    def close(self) -> None:
        self.unplug()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        if not self._plugged:
            handler.send_error(503)
            return
        with self._changed:
            self._viewers += 1
        try:
            self._stream(handler)
        except OSError:
            pass  # the viewer has gone
        finally:
            with self._changed:
                self._viewers -= 1
                self._changed.notify_all()

    def _stream(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        handler.wfile.write(b"--frame\r\n")
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._frames or not self._plugged)
                if not self._plugged:
                    return
                frame = self._frames.pop(0)
            length = f"Content-Length: {len(frame)}\r\n" if self._with_length else ""
            handler.wfile.write(f"Content-Type: image/jpeg\r\n{length}\r\n".encode() + frame + b"\r\n--frame\r\n")


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, camera: MjpegCamera) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.serve(self)

            def log_message(self, format: str, *words: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
