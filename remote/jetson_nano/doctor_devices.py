"""Camera, LEDs, and what classifies: whether they are there and whether this login may use them. Opens nothing."""

import grp
import os
import re
import sys
from pathlib import Path
from typing import List, Optional
from urllib.parse import unquote, urlsplit

from jetson_nano import docker_command, system
from shared.doctor import Asked
from shared.findings import Check, Findings
from shared.wire import Failure

ROOT = Path("/")
RULES = ("etc/udev/rules.d", "lib/udev/rules.d", "usr/lib/udev/rules.d")
# The chips of the header; sysfs on JetPack 4, character devices since.
GPIO_DEVICES = ("dev/gpiochip0", "sys/class/gpio/export")
NAMES = (("jetson_inference", "jetson_utils"), ("jetson/inference", "jetson/utils"))
ONNXRUNTIME = ("onnxruntime", "numpy", "cv2")
# The last release that CPython 3.6 takes.
GPIO_FOR_36 = "Jetson.GPIO==2.0.17"


def is_member(group: str) -> bool:
    """Whether this login's processes are in it now; added a moment ago, only after the next login."""
    try:
        number = grp.getgrnam(group).gr_gid
    except KeyError:
        return False
    return number in os.getgroups() or number == os.getegid() or os.geteuid() == 0


def belongs(group: str) -> bool:
    """Whether the login is in it by /etc/group, maybe only from its next login on."""
    try:
        return system.login() in grp.getgrnam(group).gr_mem
    except KeyError:
        return False


def device(uri: str) -> Optional[str]:
    """The device file that a camera's URI means; None for a file, the network, and CSI."""
    if uri.startswith("/dev/"):
        return uri
    parts = urlsplit(uri)
    return unquote(parts.path) if parts.scheme == "v4l2" else None


def shown(uri: str) -> str:
    """Without a password that it may hold."""
    return re.sub(r"//[^/]*@", "//…@", uri)


def check_camera(asked: Asked, root: Path = ROOT) -> Check:
    uri = asked.get("camera", "csi://0")

    def check(findings: Findings) -> None:
        path = device(uri)
        there = ["/dev/" + each.name for each in sorted((root / "dev").glob("video[0-9]*"))]
        if path is not None:
            _check_device(findings, root, path, there)
        elif uri.startswith("csi://"):
            if there:  # the driver of a CSI camera makes one too
                findings.ok("camera", uri)
            else:
                findings.bad("camera", "doctor.camera.no_csi", camera=uri)
        elif uri.startswith("file://") and not os.path.exists(unquote(urlsplit(uri).path)):
            findings.bad("camera", "doctor.camera.no_file", camera=uri, path=unquote(urlsplit(uri).path))
        else:
            findings.ok("camera", shown(uri))
    return check


def _check_device(findings: Findings, root: Path, path: str, there: List[str]) -> None:
    own = str(root / path.lstrip("/"))
    if not os.path.exists(own):
        if there:
            findings.bad("camera", "doctor.camera.other", ", ".join(there), camera=path, known=there, likely=there[-1])
        else:
            findings.bad("camera", "doctor.camera.missing", camera=path)
    elif not os.access(own, os.R_OK | os.W_OK):
        findings.bad("camera", "doctor.camera.permission", path, camera=path, login=system.login(), group=_group(own))
    else:
        user = holder(own)
        if user:
            findings.ok("camera", f"{path} ({user})")
        else:
            findings.ok("camera", path)


def holder(path: str, processes: Path = Path("/proc")) -> str:
    """The program that has the device open: one's own, or anybody's where this login is root."""
    real = os.path.realpath(path)
    for process in processes.glob("[0-9]*"):
        try:
            if any(os.readlink(str(each)) == real for each in (process / "fd").iterdir()):
                return (process / "comm").read_text().strip()
        except OSError:
            continue
    return ""


def _group(path: str) -> str:
    try:
        return grp.getgrgid(os.stat(path).st_gid).gr_name
    except KeyError:
        return "video"


def check_gpio(asked: Asked, root: Path = ROOT) -> Check:
    wanted = asked.get("leds", "gpio")

    def check(findings: Findings) -> None:
        if wanted != "gpio":
            findings.ok("gpio", wanted)
            return
        login = system.login()
        chips = [each for each in GPIO_DEVICES if (root / each).exists()]
        if not has_module("Jetson/GPIO"):
            wanted_release = GPIO_FOR_36 if sys.version_info < (3, 7) else "Jetson.GPIO"
            findings.bad("gpio", "doctor.gpio.library", python=sys.executable, package=wanted_release)
        elif not chips:
            findings.bad("gpio", "doctor.gpio.no_chip")
        elif any(os.access(str(root / each), os.R_OK | os.W_OK) for each in chips) and os.geteuid() != 0:
            findings.ok("gpio", login)
        elif not is_member("gpio"):
            findings.bad("gpio", "doctor.gpio.again" if belongs("gpio") else "doctor.gpio.group", login=login)
        elif not has_rule(root):
            findings.bad("gpio", "doctor.gpio.rule", rule=rule_of_library() or "/opt/nvidia/jetson-gpio/etc/99-gpio.rules")
        else:
            findings.ok("gpio", login)
    return check


def has_rule(root: Path = ROOT) -> bool:
    """A rule of udev that hands the chips to the group."""
    for folder in RULES:
        for file in (root / folder).glob("*gpio*.rules"):
            try:
                if "gpio" in file.read_text(errors="replace"):
                    return True
            except OSError:
                continue
    return False


def rule_of_library() -> Optional[str]:
    found = where("Jetson/GPIO")
    rule = os.path.join(found, "99-gpio.rules") if found else ""
    return rule if os.path.isfile(rule) else None


def where(module: str) -> Optional[str]:
    """The folder or file of a module on this Python's path: looking it up would import the package above it."""
    for folder in sys.path:
        for name in (module, module + ".py"):
            path = os.path.join(folder, name)
            if os.path.exists(path):
                return path
        parent, _, last = os.path.join(folder, module).rpartition("/")
        if os.path.isdir(parent):
            for name in os.listdir(parent):
                if name.startswith(last + ".") and name.endswith(".so"):
                    return os.path.join(parent, name)
    return None


def has_module(module: str) -> bool:
    return where(module) is not None


def check_inference(asked: Asked) -> Check:
    """What the config says classifies: jetson-inference, its image, or ONNX Runtime."""
    def check(findings: Findings) -> None:
        if asked.get("engine") == "onnxruntime":
            missing = [name for name in ONNXRUNTIME if not has_module(name)]
            if missing and (3, 7) <= sys.version_info[:2] < (3, 10):
                findings.bad("inference", "doctor.inference.onnxruntime_pip", modules=missing, python=sys.executable,
                             lines=" ".join(_REQUIRED[name] for name in missing))
            elif missing:
                findings.bad("inference", "doctor.inference.onnxruntime", modules=missing)
            else:
                findings.ok("inference", "ONNX Runtime")
        elif asked.get("container"):
            _check_container(findings, asked["container"])
        else:
            pair = next((pair for pair in NAMES if all(has_module(name) for name in pair)), None)
            if pair is None:
                image = _image_there()
                if image:
                    findings.bad("inference", "doctor.inference.image", image, image=image)
                else:
                    findings.bad("inference", "doctor.inference.missing")
            else:
                findings.ok("inference", pair[0].replace("/", "."))
    return check


# For the Pythons that requirements.txt has no lines for, so that provision makes no environment with them.
_REQUIRED = {"onnxruntime": "onnxruntime>=1.17", "numpy": "numpy>=1.24", "cv2": "opencv-python-headless>=4.8"}


def _image_there() -> Optional[str]:
    try:
        return docker_command.find_image(docker_command.AUTO)
    except Failure:
        return None


def _check_container(findings: Findings, image: str) -> None:
    try:
        findings.ok("inference", docker_command.find_image(image))
    except Failure as failure:
        if failure.code == "container.no_permission" and belongs("docker"):
            findings.bad("inference", "doctor.container.again", login=system.login())
        else:
            findings.bad("inference", failure.code, **dict(failure.params, login=system.login()))
