"""An export that the server's gate refuses: what was exported before stays, and the report says on which images."""

import json

import pytest
from room import Room

from ai_nano.core.errors import WorkFailed
from ai_nano.core.ports import JobEnd
from ai_nano.core.running import Status
from ai_nano.steps.export import ExportOptions

REFUSED = ("export.differs", {"model": "m", "difference": "0.300000", "images": "test/cat/000.jpg", "count": 1})


def refuse(room: Room, model: str) -> None:
    """The next export ends so, and its report is on the server."""
    path = room.lab.server.root / "models" / model / "report.json"
    report = json.loads(path.read_text())
    report["export"] = {"created": "2026-11-21T10:16:00Z", "opset": 13, "bytes": 5, "images": 7, "max_difference": 0.3,
                        "agreement": 0.5, "refused": ["test/cat/000.jpg"], "milliseconds": 5.0, "fp16": None}
    path.write_text(json.dumps(report))
    room.lab.server.ends["gpu_server/export.py"] = JobEnd("failed", error=REFUSED, exit={"code": 1, "signal": None})


def test_the_report_names_the_images_and_the_model_of_before_stays(exported: Room) -> None:
    model = exported.workspace.receipts["export"].facts["model"]
    folder = exported.workspace.model_folder(model)
    onnx = (folder / "model.onnx").read_bytes()
    refuse(exported, model)
    with pytest.raises(WorkFailed) as raised:
        exported.do("export", ExportOptions())
    assert raised.value.code == "export.differs" and "test/cat/000.jpg" in raised.value.why
    assert "test/cat/000.jpg" in (folder / "report.html").read_text()
    assert (folder / "model.onnx").read_bytes() == onnx and exported.statuses()["export"] is Status.FAILED


def test_a_report_that_does_not_come_does_not_hide_why(exported: Room) -> None:
    model = exported.workspace.receipts["export"].facts["model"]
    refuse(exported, model)
    (exported.lab.server.root / "models" / model / "report.json").write_text("{")
    before = {path.name: path.read_bytes() for path in exported.workspace.model_folder(model).iterdir()}
    with pytest.raises(WorkFailed) as raised:
        exported.do("export", ExportOptions())
    assert raised.value.code == "export.differs"
    assert {path.name: path.read_bytes() for path in exported.workspace.model_folder(model).iterdir()} == before
