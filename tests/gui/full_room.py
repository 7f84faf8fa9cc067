"""A room in the midst of a lesson, as its machines tell it: two train, twelve wait, nine Nanos, and something has failed."""

from __future__ import annotations

from typing import Any

from ai_nano.core.errors import MachineError

CLASSIFY, TRAIN = "jetson_nano/classify.py", "gpu_server/train.py"
STUDENTS = ("ada@lab1", "bob@lab2", "chloé@lab3", "dan@lab4", "eve@lab5", "farid@lab6", "gina@lab7", "hugo@lab8", "ines@lab9",
            "jan@lab10", "kim@lab11", "léo@lab12", "mia@lab13", "noor@lab14")


def work(number: int, student: str | None, program: str, started: float, state: str = "running", **more: Any) -> dict[str, Any]:
    """A run of `room`, as doc/design/wire.md has it."""
    model = f"{(student or 'x').partition('@')[0]}-mugs-{number:03d}"
    params = {"model_dir": f"/home/nano/ai_nano/models/{model}"} if program == CLASSIFY else {"model": model}
    row = {"id": f"20261121-1015{number:02d}-{'infer' if program == CLASSIFY else 'train'}-{number:04x}", "program": program,
           "state": state, "why": None, "waiting": False, "started": started, "student": student, "params": params,
           "laptop": None, "ended_s": None, "exit": None, "ended_by": None, "error": None, "progress": None, "metric": None,
           "turn": None}
    return {**row, **more}


def server_works() -> list[dict[str, Any]]:
    """The room's clock says 0: what began at -60 has been going on for a minute."""
    two = [work(1, STUDENTS[0], TRAIN, -95, metric={"epoch": 18, "epochs": 40, "val_accuracy": 0.93},
                progress={"what": "train.fine", "done": 18, "total": 40, "unit": "epochs", "eta_s": 64.0}),
           work(2, STUDENTS[1], "gpu_server/export.py", -12)]
    waiting = [work(3 + place, student, TRAIN, -80 + 5 * place, waiting=True,
                    turn={"state": "waiting", "position": place + 1, "wait_s": 64.0 + 75 * place})
               for place, student in enumerate(STUDENTS[2:])]
    return two + waiting + failed_works()


def failed_works() -> list[dict[str, Any]]:
    exit_1 = {"v": 1, "code": 1, "signal": None, "cancelled": False, "duration_s": 4.2}
    return [work(40, STUDENTS[4], TRAIN, -900, "failed", ended_s=840.0, exit=exit_1,
                 error={"code": "train.no_images", "params": {"model": "eve-mugs-040", "class": "cat", "folder": "train/cat"}}),
            work(41, STUDENTS[5], TRAIN, -700, "failed", ended_s=610.0, why="vanished"),
            work(42, STUDENTS[6], TRAIN, -500, "cancelled", ended_s=130.0, exit={**exit_1, "code": 143, "cancelled": True},
                 ended_by={"who": "teacher@desk", "role": "instructor", "reason": None, "ago_s": 130.0})]


def nano_works(number: int) -> list[dict[str, Any]]:
    """Of the nine: most are in use, some have a queue, two are free."""
    if number in (3, 7):
        return []
    held = [work(60 + number, STUDENTS[number], CLASSIFY, -40.0 * number)]
    return held + [work(70 + 10 * number + place, STUDENTS[number + place + 1], CLASSIFY, -10.0 + place, waiting=True,
                        turn={"state": "waiting", "position": place + 1, "wait_s": 100.0})
                   for place in range({1: 2, 4: 1}.get(number, 0))]


def away() -> Any:
    """In place of a Nano's `room`."""
    raise MachineError("machine.unreachable", machine="nano9", host="10.0.0.9")
