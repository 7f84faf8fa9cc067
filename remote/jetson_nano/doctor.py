"""What is wrong with this Nano (shared/doctor.py has how it is asked)."""

import sys
from pathlib import Path
from typing import Dict

from jetson_nano import doctor_board, doctor_deep, doctor_devices, system
from shared import doctor
from shared.doctor import Asked
from shared.findings import Check

PYTHON = (3, 6)


def checks(root: Path, asked: Asked) -> Dict[str, Check]:
    """A Nano of the embedded classroom is somebody's computer: what only a Jetson has is not asked for."""
    found = doctor.common(root, PYTHON)
    found["camera"] = doctor_devices.check_camera(asked)
    found["gpio"] = doctor_devices.check_gpio(asked)
    found["inference"] = doctor_devices.check_inference(asked)
    found["memory"] = doctor_board.check_memory
    found["temperature"] = doctor_board.check_temperature
    if not system.embedded():
        found["jetpack"] = doctor_board.check_jetpack
        found["tensorrt"] = doctor_board.check_tensorrt(asked)
        found["power"] = doctor_board.check_power
        found["desktop"] = doctor_board.check_desktop
    return found


if __name__ == "__main__":
    doctor.run("jetson_nano/doctor.py", sys.argv[1:], checks, doctor_deep.checks)
