"""The report: whole, self-contained, and safe against names that look like HTML."""

import re
from html.parser import HTMLParser
from typing import Any

from ai_nano.core import report

FIGURES: dict[str, Any] = {
    "v": 1, "model": "ada-<b>-001", "recipe": "quick", "arch": "efficientnet_lite0", "classes": ["cat", "Rubik's cube"],
    "images": {"train": 80, "val": 10, "test": 10}, "seconds": {"total": 3.25},
    "history": [{"epoch": n, "epochs": 3, "train_loss": 1 / n, "val_loss": 1.2 / n, "train_accuracy": 1 - 0.5 / n,
                 "val_accuracy": None if n == 2 else 0.9} for n in (1, 2, 3)],
    "val_accuracy": 0.9, "test_accuracy": 0.875, "confusion": [[7, 0], [1, 0]],
    "per_class": {"cat": {"precision": 0.875, "recall": 1.0, "images": 7},
                  "Rubik's cube": {"precision": None, "recall": 0.0, "images": 1}},
    "samples": [{"file": "test/cat/a.jpg", "class": "cat", "predicted": "cat", "confidence": 0.98},
                {"file": "test/Rubik's cube/b.jpg", "class": "Rubik's cube", "predicted": "cat", "confidence": 0.51}],
}


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def test_it_shows_curves_matrix_and_samples() -> None:
    reader = read(report.render(FIGURES, lambda file: b"jpeg" if "cat" in file else None))
    assert "87.5 %" in reader.text and "90.0 %" in reader.text and "80 / 10 / 10" in reader.text
    lines = [attributes["points"] for tag, attributes in reader.tags if tag == "polyline"]
    assert [len(line.split()) for line in lines if line] == [3, 2, 3, 3]  # accuracy train, val (one missing), loss train, val
    assert "cat, 98.0 %" in reader.text and "Rubik's cube, taken for cat, 51.0 %" in reader.text


def test_it_needs_nothing_else() -> None:
    page = report.render(FIGURES, lambda file: b"jpeg")
    assert not re.search(r"(src|href)=\"(?!data:)", page) and "http" not in page.replace("http-equiv", "")


def test_names_cannot_become_html() -> None:
    reader = read(report.render(FIGURES, lambda file: None))
    assert "ada-<b>-001" in reader.text


def test_fresh_takes_stand_beside_the_splits_figure() -> None:
    reader = read(report.render(FIGURES, lambda file: None, report.Fresh(0.96, 320, [[150, 10], [3, 157]])))
    assert "96.0 % of 320 frames" in reader.text and "157" in reader.text
