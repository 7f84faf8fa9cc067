"""health.py on trees as a Nano of JetPack 4.6, an Orin Nano and a PC have them."""

import subprocess
from pathlib import Path

import nano_programs  # noqa: F401
import pytest
from machine import DEADLINE_S, REMOTE

from jetson_nano import health

MEMINFO = """MemTotal:        4051048 kB
MemFree:          204800 kB
MemAvailable:    1454080 kB
SwapTotal:       4194304 kB
SwapFree:        4106240 kB
"""
NVPMODEL = """< POWER_MODEL ID=0 NAME=MAXN >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=1 NAME=5W >
CPU_ONLINE CORE_0 1
< PM_CONFIG DEFAULT=0 >
"""


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def nano(root: Path, **changes: str) -> Path:
    zones = {"AO-therm": "47500", "CPU-therm": "41500", "GPU-therm": "39000", "PLL-therm": "38500", "PMIC-Die": "100000",
             "thermal-fan-est": "40250"}
    files = {"proc/meminfo": MEMINFO, "var/lib/nvpmodel/status": "pmode:0001", "etc/nvpmodel.conf": NVPMODEL}
    for number, (name, value) in enumerate(zones.items()):
        files[f"sys/class/thermal/thermal_zone{number}/type"] = name + "\n"
        files[f"sys/class/thermal/thermal_zone{number}/temp"] = value + "\n"
    for number, (name, state) in enumerate({"pwm-fan": "3", "cpu-balanced": "0", "gpu-balanced": "0", **changes}.items()):
        files[f"sys/class/thermal/cooling_device{number}/type"] = name + "\n"
        files[f"sys/class/thermal/cooling_device{number}/cur_state"] = state + "\n"
    return write(root, files)


def test_a_nano(tmp_path: Path) -> None:
    assert health.read(nano(tmp_path)) == {
        "temperatures": {"AO": 47.5, "CPU": 41.5, "GPU": 39.0, "PLL": 38.5, "thermal-fan-est": 40.2},
        "throttled": [], "memory": {"total_mb": 3956, "available_mb": 1420, "swap_total_mb": 4096, "swap_free_mb": 4010},
        "power_mode": "5W"}


def test_what_throttles_is_named_and_a_fan_is_not(tmp_path: Path) -> None:
    assert health.throttled(nano(tmp_path, **{"cpu-balanced": "2", "gpu-balanced": "1"})) == ["cpu-balanced", "gpu-balanced"]


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    assert health.read(tmp_path) == {"temperatures": {}, "throttled": None, "memory": {}, "power_mode": None}


@pytest.mark.parametrize("status", ["pmode:0007", "pmode:0007 fmode:quiet\n"])
def test_a_mode_without_a_name_has_its_number(tmp_path: Path, status: str) -> None:
    assert health.power_mode(write(tmp_path, {"var/lib/nvpmodel/status": status, "etc/nvpmodel.conf": NVPMODEL})) == "7"


def test_what_a_driver_does_not_give_at_the_moment_is_left_out(tmp_path: Path) -> None:
    nano(tmp_path)
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").write_text("")
    (tmp_path / "sys/class/thermal/thermal_zone1/temp").write_text("-256000")
    (tmp_path / "sys/class/thermal/thermal_zone2/temp").unlink()
    assert set(health.temperatures(tmp_path)) == {"PLL", "thermal-fan-est"}


def test_this_machine_under_the_nano_s_python(nano_python: str) -> None:
    code = "from jetson_nano import health; import json; print(json.dumps(health.read(), allow_nan=False))"
    done = subprocess.run([nano_python, "-B", "-c", code], check=True, stdout=subprocess.PIPE, text=True,
                          env={"PYTHONPATH": str(REMOTE)}, timeout=DEADLINE_S)
    assert '"total_mb"' in done.stdout
