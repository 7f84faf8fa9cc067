"""A program on a disk too full for the event that says so is known by its exit code."""

import json
import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(("do", "full", "code"), [("fail", True, 124), ("crash", True, 124), ("fail", False, 1)])
def test_no_room_for_the_error_event(do: str, full: bool, code: int, tmp_path: Path, nano_python: str) -> None:
    (tmp_path / "spec.json").write_text(json.dumps({"params": {"do": do}, "root": str(tmp_path), "program": "probe"}))
    output = "/dev/full" if full else os.devnull
    (tmp_path / "events.jsonl").symlink_to(output)
    with open(output, "wb") as stream:
        done = subprocess.run([nano_python, str(Path(__file__).with_name("probe_program.py")), "--run", str(tmp_path)],
                              env={**os.environ, "PYTHONPATH": str(REPOSITORY / "remote")}, stdout=stream, stderr=stream,
                              timeout=30, check=False)
    assert done.returncode == code
