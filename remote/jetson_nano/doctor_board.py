"""The board itself, from files that anybody may read: its release, TensorRT, memory, power mode, heat, the desktop.

Where a table below says from which source it is, that was read; the rest is from memory, which doc/design/doctor.md repeats.
"""

import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

from jetson_nano import health
from shared.doctor import Asked
from shared.findings import Check, Findings, ask

ROOT = Path("/")
RELEASE = re.compile(r"#\s*R(\d+)\s*\(release\),\s*REVISION:\s*(\d+(?:\.\d+)*)")
# The first Jetson Linux that jetson-inference has an image for, and with Python 3.6 on it.
OLDEST = (32, 4)
# Jetson Linux -> JetPack (developer.nvidia.com/embedded/jetpack-archive, from memory).
JETPACKS = {
    (32, 4, 2): "4.4 DP", (32, 4, 3): "4.4", (32, 4, 4): "4.4.1", (32, 5, 0): "4.5", (32, 5, 1): "4.5.1", (32, 5, 2): "4.5.1",
    (32, 6, 1): "4.6", (32, 7, 1): "4.6.1", (32, 7, 2): "4.6.2", (32, 7, 3): "4.6.3", (32, 7, 4): "4.6.4", (32, 7, 5): "4.6.5",
    (32, 7, 6): "4.6.6", (34, 1, 0): "5.0 DP", (34, 1, 1): "5.0.1 DP", (35, 1, 0): "5.0.2", (35, 2, 1): "5.1",
    (35, 3, 1): "5.1.1", (35, 4, 1): "5.1.2", (35, 5, 0): "5.1.3", (35, 6, 0): "5.1.4", (36, 2, 0): "6.0 DP", (36, 3, 0): "6.0",
    (36, 4, 0): "6.1", (36, 4, 3): "6.2", (36, 4, 4): "6.2.1", (36, 4, 7): "6.2.1", (36, 5, 0): "6.2.2",
}
# The highest opset that TensorRT's parser takes, each "from this version on": docs/operators.md of the releases of
# github.com/onnx/onnx-tensorrt for 5.1, 7.2, 8.0, 8.2, 8.5 and 9.2; 8.4 and 10 from memory.
OPSETS: Tuple[Tuple[Tuple[int, int], int], ...] = (
    ((10, 0), 20), ((9, 2), 19), ((8, 4), 17), ((8, 0), 13), ((7, 0), 11), ((5, 1), 9))
# What export.py writes.
SENT_OPSET = 13
LITTLE_MB = 700
HOT_C = 80.0
WEAK_WATTS = 10
# Of X and Wayland sessions; a login screen alone counts too.
DESKTOPS = ("Xorg", "gnome-shell", "lightdm", "gdm3", "gdm-session-wor", "lxsession", "xfce4-session", "unity-panel-ser",
            "compiz")
QUERY = re.compile(r"NV Power Mode:\s*(\S+)\s*\n\s*(\d+)")


class Release(NamedTuple):
    """A version of Jetson Linux, three numbers, and the JetPack that it belongs to; None: one that is not known here."""

    numbers: Tuple[int, int, int]
    jetpack: Optional[str]

    @property
    def text(self) -> str:
        return ".".join(map(str, self.numbers))


def parse_release(text: str) -> Optional[Release]:
    """Of /etc/nv_tegra_release; None for what is none."""
    found = RELEASE.search(text)
    if found is None:
        return None
    numbers = [int(each) for each in [found.group(1)] + found.group(2).split(".")]
    three = tuple((numbers + [0, 0])[:3])
    return Release(three, JETPACKS.get(three))  # type: ignore[arg-type]


def parse_packages(output: str) -> Dict[str, str]:
    """`dpkg-query --show --showformat=FORMAT`: those that are installed, with their versions."""
    found = {}
    for line in output.splitlines():
        fields = line.split("|")
        if len(fields) == 3 and fields[2].startswith("ii"):
            found[fields[0].split(":")[0]] = fields[1]
    return found


FORMAT = "${Package}|${Version}|${db:Status-Abbrev}\\n"


def tensorrt(packages: Dict[str, str]) -> Optional[str]:
    """The version of the library, for example 8.2.1; in JetPack 4 to 6 libnvinfer7, 8 and 10."""
    versions = [version for name, version in packages.items() if re.match(r"libnvinfer\d+\Z", name)]
    found = re.match(r"\d+(?:\.\d+){0,2}", max(versions, key=_numbers)) if versions else None
    return found.group(0) if found else None


def opset(version: str) -> Optional[int]:
    numbers = _numbers(version)[:2]
    return next((taken for since, taken in OPSETS if tuple(numbers) >= since), None)


def _numbers(version: str) -> List[int]:
    return [int(each) for each in re.findall(r"\d+", version.split("-")[0])]


def check_jetpack(findings: Findings, root: Path = ROOT) -> None:
    text = _text(root / "etc" / "nv_tegra_release")
    release = parse_release(text)
    if release is None:
        findings.warn("jetpack", "doctor.jetpack.none")
    elif release.numbers[:2] < OLDEST:
        findings.bad("jetpack", "doctor.jetpack.old", release.text, release=release.text)
    else:
        findings.ok("jetpack", f"JetPack {release.jetpack or '?'}, Jetson Linux {release.text}")


def check_tensorrt(asked: Asked) -> Check:
    wanted = asked.get("engine", "tensorrt") == "tensorrt" and not asked.get("container")

    def check(findings: Findings) -> None:
        said = ask(["dpkg-query", "--show", "--showformat=" + FORMAT, "libnvinfer[0-9]*", "python3-libnvinfer",
                    "nvidia-jetpack"])
        packages = parse_packages(said.output)
        version = tensorrt(packages)
        if version is None:
            if wanted and said.code != 127:
                findings.bad("tensorrt", "doctor.tensorrt.missing")
            elif wanted:
                findings.unsure("tensorrt", "doctor.tensorrt.no_dpkg")
            else:
                findings.ok("tensorrt", "–")
            return
        taken = opset(version)
        figure = f"TensorRT {version}, opset {taken or '?'}"
        if wanted and taken is not None and taken < SENT_OPSET:
            findings.bad("tensorrt", "doctor.tensorrt.opset", figure, version=version, taken=taken, sent=SENT_OPSET)
        else:
            findings.ok("tensorrt", figure)
    return check


def check_memory(findings: Findings, root: Path = ROOT) -> None:
    memory = health.memory(root)
    total, available = memory.get("total_mb", 0), memory.get("available_mb", 0)
    figure = f"{available} / {total} MB"
    if not total:
        findings.unsure("memory", "doctor.memory.unknown")
    elif available < min(LITTLE_MB, total // 4):
        findings.warn("memory", "doctor.memory.little", figure, available=available)
    else:
        findings.ok("memory", figure)
    swap = memory.get("swap_total_mb", 0)
    if swap or total > 12_000:  # an engine is built within what 16 GB have
        findings.ok("swap", f"{swap} MB")
    else:
        findings.warn("swap", "doctor.swap.none", "0 MB", total=total)


def parse_mode(output: str) -> Optional[Tuple[str, int]]:
    """`nvpmodel -q`: the mode's name and number."""
    found = QUERY.search(output)
    return (found.group(1), int(found.group(2))) if found else None


def watts(name: str) -> Optional[int]:
    """What a mode's name says: 5W, MODE_15W_6CORE; None for MAXN."""
    found = re.search(r"(?:^|_)(\d+)W", name)
    return int(found.group(1)) if found else None


def check_power(findings: Findings, root: Path = ROOT) -> None:
    """From the files; `nvpmodel -q` wants root in some releases."""
    mode = health.power_mode(root)
    if mode is None:
        told = parse_mode(ask(["nvpmodel", "-q"]).output)
        mode = told[0] if told else None
    if mode is None:
        findings.unsure("power", "doctor.power.unknown")
        return
    modes = {name: int(number) for number, name in health.POWER_MODEL.findall(_text(root / "etc" / "nvpmodel.conf"))}
    strong = {name: number for name, number in modes.items() if (watts(name) or 1000) >= WEAK_WATTS}
    weak = (watts(mode) or 1000) < WEAK_WATTS
    if weak and strong:
        best = max(strong, key=lambda name: (watts(name) or 1000, -strong[name]))
        findings.warn("power", "doctor.power.weak", mode, mode=mode, best=best, number=strong[best])
    else:
        findings.ok("power", mode)


def check_temperature(findings: Findings, root: Path = ROOT) -> None:
    found = health.temperatures(root)
    held = health.throttled(root)
    hottest = max(found, key=lambda zone: found[zone]) if found else None
    figure = f"{hottest} {found[hottest]:.0f} °C" if hottest else "–"
    if held:
        findings.warn("temperature", "doctor.temperature.throttled", figure, devices=held)
    elif hottest and found[hottest] >= HOT_C:
        findings.warn("temperature", "doctor.temperature.hot", figure, zone=hottest, degrees=round(found[hottest]))
    else:
        findings.ok("temperature", figure)


def check_desktop(findings: Findings, processes: Path = Path("/proc")) -> None:
    running = set()
    for process in processes.glob("[0-9]*"):
        name = _text(process / "comm").strip()
        if name in DESKTOPS and _text(process / "cmdline"):  # one that has ended and nobody has reaped has none
            running.add(name)
    if running:
        findings.warn("desktop", "doctor.desktop.running", ", ".join(sorted(running)), programs=sorted(running))
    else:
        findings.ok("desktop", "–")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
