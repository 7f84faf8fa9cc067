"""A Docker with one image, jetson-inference's, for a machine of the tests (tests/doubles/docker)."""

import json
import shlex
import sys
from pathlib import Path

IMAGE = "dustynv/jetson-inference:r32.7.1"
DOCKER = Path(__file__).resolve().parents[1] / "doubles" / "docker" / "docker_double.py"


def put_docker(folder: Path, python: str, environment: dict[str, str]) -> tuple[Path, Path]:
    """(a folder for PATH with the command `docker`, the folder of what it keeps); the image has that Python and environment."""
    commands, state = folder / "docker", folder / "docker state"
    commands.mkdir()
    state.mkdir()
    words = " ".join(map(shlex.quote, [sys.executable, str(DOCKER), str(state)]))
    (commands / "docker").write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    (commands / "docker").chmod(0o755)
    (state / "images.json").write_text(json.dumps({IMAGE: {"python": python, "env": environment}}))
    return commands, state
