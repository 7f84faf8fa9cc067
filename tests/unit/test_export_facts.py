"""What the receipt of an export keeps of the report that came with it."""

import json

import pytest
from room import Room

from ai_nano.steps.export import ExportOptions

HALF = {"images": 32, "accuracy": 0.96875, "max_difference": 0.004, "agreement": 1.0}


@pytest.mark.parametrize(("half", "kept"), [(HALF, {"fp16_accuracy": 0.96875, "fp16_agreement": 1.0}), (None, {})])
def test_the_rehearsal_of_half_precision(exported: Room, half: object, kept: dict[str, float]) -> None:
    path = exported.lab.server.root / "models" / exported.workspace.receipts["export"].facts["model"] / "report.json"
    told = {"created": "2026-11-21T10:16:00Z", "opset": 13, "bytes": 5, "images": 7, "max_difference": 1e-6,
            "agreement": 1.0, "refused": [], "milliseconds": 5.0, "fp16": half}
    path.write_text(json.dumps({**json.loads(path.read_text()), "export": told}))
    facts = exported.do("export", ExportOptions())
    assert {key: facts[key] for key in facts if key.startswith("fp16")} == kept
