"""The double of jetson-inference shows in each face what doc/design/nano.md says of that release.

One script for each face, which does what a careless program would do; what it found is compared with the table.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from colours import make_images, make_onnx
from machine import DEADLINE_S
from nano_faces import DOUBLES, FACES

SCRIPT = """
import importlib, json, os, subprocess, sys, time

names = [("jetson_inference", "jetson_utils"), ("jetson.inference", "jetson.utils")]
found = {"names": [names[0][0] if importlib.util.find_spec(names[0][0]) else names[1][0]]}
inference, utils = map(importlib.import_module, names[0] if found["names"][0] == names[0][0] else names[1])

def outcome(function):
    try:
        value = function()
        return value if isinstance(value, (int, float, str, list, tuple, type(None))) else "done"
    except Exception as error:
        return type(error).__name__

model, labels, images, spaced = sys.argv[1:]
argv = ["x", "--model=" + model, "--labels=" + labels, "--input-blob=input_0", "--output_blob=output_0"]
net = inference.imageNet("custom", argv)
found["keywords"] = outcome(lambda: inference.imageNet(model=model, labels=labels, input_blob="input_0",
                                                       output_blob="output_0"))
both = outcome(lambda: inference.imageNet(argv=argv, model="nowhere.onnx"))
found["argv wins"] = both if found["keywords"] == "done" else "-"
found["default blobs"] = outcome(lambda: inference.imageNet("custom", argv[:3]))
found["no labels"] = outcome(lambda: inference.imageNet("custom", [argv[0], argv[1], argv[3], argv[4]]))
video = utils.videoSource(images, ["x"])
image = video.Capture()
found["streaming after the last"] = video.IsStreaming()
found["after the last"] = outcome(video.Capture)
found["topK"] = outcome(lambda: [index for index, _ in net.Classify(image, topK=0)])
found["topK 2"] = outcome(lambda: len(net.Classify(image, topK=2)))
found["best"] = net.Classify(image)[0]
found["threshold"] = hasattr(net, "SetThreshold")
if found["threshold"]:
    net.SetThreshold(0.999999)
    found["nothing"] = net.Classify(image)
    net.SetThreshold(0)
    found["topK of all"] = len(net.Classify(image, topK=0))
found["time"] = net.GetNetworkTime() > 0
found["array"] = outcome(lambda: net.Classify(utils.cudaToNumpy(image)))
found["no camera"] = outcome(lambda: utils.videoSource("/dev/video0"))
found["http"] = outcome(lambda: utils.videoSource("http://127.0.0.1/x.mjpg"))
csi = utils.videoSource("csi://0", ["x"])
found["no csi"] = outcome(lambda: csi.Capture(timeout=20))
found["csi streams"] = csi.IsStreaming()

def builds(path):
    began = os.path.getmtime(path + ENGINE) if os.path.exists(path + ENGINE) else 0
    inference.imageNet("custom", ["x", "--model=" + path] + argv[2:])
    return os.path.getmtime(path + ENGINE) != began

ENGINE = ".1.1.8201.GPU.FP16.engine"
found["built again"] = builds(model)
found["built again with a space"] = [builds(spaced), builds(spaced)]
found["checksum"] = os.path.exists(model + ".sha256sum")
with open(model, "ab") as stream:
    stream.write(b"\\x00\\x00")
# No network any more: a release that looks at it finds that out, one that goes by the engine's name does not.
found["stale engine"] = outcome(lambda: builds(model))
sys.stderr.write(json.dumps(found))
"""

COMMON: dict[str, Any] = {
    "default blobs": "Exception", "no labels": "Exception", "streaming after the last": False, "after the last": "Exception",
    "best": 0, "time": True, "no camera": "Exception", "http": "Exception", "csi streams": True, "built again": False,
    "array": "Exception"}
TABLE: dict[str, dict[str, Any]] = {
    "2020": {"names": ["jetson.inference"], "keywords": "Exception", "argv wins": "-", "topK": "Exception",
             "topK 2": "Exception", "threshold": False, "no csi": "Exception", "checksum": False,
             "built again with a space": [True, False], "stale engine": False},
    "2022": {"names": ["jetson_inference"], "keywords": "done", "argv wins": "done", "topK": "Exception",
             "topK 2": "Exception", "threshold": False, "no csi": "Exception", "checksum": True,
             "built again with a space": [True, True], "stale engine": "Exception"},
    "2023": {"names": ["jetson_inference"], "keywords": "done", "argv wins": "done", "topK": [0], "topK 2": 1, "topK of all": 3,
             "threshold": True, "nothing": [-1, 0.0], "no csi": None, "checksum": True,
             "built again with a space": [True, True], "stale engine": "Exception"}}


@pytest.mark.parametrize("face", FACES)
def test_each_face_is_as_the_table_says(face: str, tmp_path: Path, nano_python: str) -> None:
    plain, spaced = tmp_path / "plain", tmp_path / "with a space"
    for folder in (plain, spaced):
        folder.mkdir()
        make_onnx(folder / "model.onnx")
    (plain / "labels.txt").write_text("red\ngreen\nblue")
    images = make_images(tmp_path / "images", ["red"])
    environment = {"PYTHONPATH": os.pathsep.join(map(str, (DOUBLES / "common", DOUBLES / f"face{face}"))),
                   "PATH": os.environ["PATH"], "JETSON_DOUBLE": "", "LANG": "C.UTF-8"}
    done = subprocess.run([nano_python, "-B", "-c", SCRIPT, str(plain / "model.onnx"), str(plain / "labels.txt"), str(images),
                           str(spaced / "model.onnx")], env=environment, capture_output=True, text=True, timeout=DEADLINE_S,
                          check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stderr.splitlines()[-1])
    assert found == {**COMMON, **TABLE[face]}


@pytest.mark.parametrize("face", FACES)
def test_an_engine_s_path_beyond_its_buffer(face: str, tmp_path: Path, nano_python: str) -> None:
    folder = tmp_path.joinpath(*["x" * 120] * 5)
    folder.mkdir(parents=True)
    make_onnx(folder / "model.onnx")
    (folder / "labels.txt").write_text("red\ngreen\nblue")
    code = ("import sys\ntry: import jetson_inference as inference\nexcept ImportError: import jetson.inference as inference\n"
            "inference.imageNet('x', ['x', '--model=' + sys.argv[1] + '/model.onnx', '--labels=' + sys.argv[1] + '/labels.txt',"
            "'--input_blob=input_0', '--output_blob=output_0'])")
    environment = {"PYTHONPATH": os.pathsep.join(map(str, (DOUBLES / "common", DOUBLES / f"face{face}"))),
                   "PATH": os.environ["PATH"], "JETSON_DOUBLE": ""}
    done = subprocess.run([nano_python, "-B", "-c", code, str(folder)], env=environment, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, timeout=DEADLINE_S, check=False)
    assert (done.returncode != 0) == (face == "2020")
