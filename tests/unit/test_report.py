"""The report: whole, self-contained, and safe against names that look like HTML."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from ai_nano.core import answers, report, texts

FIGURES: dict[str, Any] = {
    "v": 1, "model": "ada-<b>-001", "recipe": "fine", "arch": "efficientnet_lite0", "classes": ["cat", "Rubik's cube"],
    "created": "2026-11-21T10:15:00Z", "stage": "fine", "checkpoint_sha256": "0123456789abcdef" * 4, "device": "CPU",
    "images": {"train": 80, "val": 10, "test": 8}, "seconds": {"start": 2.5, "first_image": 3.0, "total": 63.25},
    "settings": {"epochs": None, "lr": 0.001, "batch": 32, "minutes": 2, "seed": 2 ** 60},
    "stages": [{"stage": "quick", "seconds": 3.1, "epochs": 3, "val_accuracy": 0.8, "val_loss": 0.5, "taken": True},
               {"stage": "fine", "seconds": 60.1, "epochs": 2, "val_accuracy": 0.9, "val_loss": 0.4, "taken": True}],
    "history": [{"epoch": n, "epochs": 5, "stage": "quick" if n < 4 else "fine", "train_loss": 1 / n, "val_loss": 1.2 / n,
                 "train_accuracy": 1 - 0.5 / n, "val_accuracy": None if n == 2 else 0.9, "lr": 0.1, "images_per_s": 200}
                for n in (1, 2, 3, 4, 5)],
    "val_accuracy": 0.9, "test_accuracy": 0.875, "interval": [0.5291, 0.9776],
    "calibration": {
        "temperature": 1.62,
        "before": {"ece": 0.12, "nll": 0.6, "bins": [
            {"low": 0.5, "high": 0.6, "count": 0, "confidence": None, "accuracy": None},
            {"low": 0.9, "high": 1.0, "count": 8, "confidence": 0.97, "accuracy": 0.875}]},
        "after": {"ece": 0.03, "nll": 0.4, "bins": [{"low": 0.8, "high": 0.9, "count": 8, "confidence": 0.89,
                                                    "accuracy": 0.875}]}},
    "size": {"parameters": 3_374_000, "bytes": 13_700_000}, "milliseconds": 14.2,
    "data": {"classes": {"cat": {"train": 40, "val": 5, "test": 7}, "Rubik's cube": {"train": 40, "val": 5, "test": 1}},
             "width": 1280, "height": 720},
    "export": {"created": "2026-11-21T10:16:00Z", "opset": 13, "bytes": 13_500_000, "images": 8, "max_difference": 2e-7,
               "agreement": 1.0, "refused": [], "milliseconds": 5.1,
               "fp16": {"images": 8, "accuracy": 0.875, "max_difference": 0.0021, "agreement": 1.0}},
    "confusion": [[7, 0], [1, 0]],
    "per_class": {"cat": {"precision": 0.875, "recall": 1.0, "images": 7},
                  "Rubik's cube": {"precision": None, "recall": 0.0, "images": 1}},
    "samples": [{"file": "test/Rubik's cube/b.jpg", "class": "Rubik's cube", "predicted": "cat", "confidence": 0.51},
                {"file": "test/cat/a.jpg", "class": "cat", "predicted": "cat", "confidence": 0.98}],
}


def without(*keys: str) -> dict[str, Any]:
    return {key: value for key, value in FIGURES.items() if key not in keys}


# What the servers of before wrote.
OLDER = without("created", "stage", "checkpoint_sha256", "device", "settings", "stages", "interval", "calibration", "size",
                "milliseconds", "data", "export")


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


def page_of(figures: dict[str, Any], fresh: report.Fresh | None = None) -> str:
    return report.render(report.read(figures), lambda file: b"jpeg" if "cat" in file else None, fresh)


def words_of(figures: dict[str, Any], fresh: report.Fresh | None = None) -> str:
    """What a person reads, with single spaces."""
    return " ".join(read(page_of(figures, fresh)).text.split())


@pytest.fixture(params=["en", "fr"])
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    texts.set_language(request.param)
    yield request.param
    texts.set_language(None)


def test_the_accuracy_comes_with_how_far_it_can_be_trusted() -> None:
    words = words_of(FIGURES)
    assert "87.5 %" in words and "Of 8 test images, which it had never seen, 7 are right." in words
    assert "With so few images, the true rate is probably between 53 % and 98 %." in words
    assert "Guessing would be right for about 50 %." in words
    many = {**FIGURES, "confusion": [[700, 0], [100, 0]], "interval": [0.85, 0.9]}
    assert "With other images like these, the true rate is probably between 85 % and 90 %." in words_of(many)


def test_curves_have_a_line_for_each_stage() -> None:
    tags = read(page_of(FIGURES)).tags
    lines = [attributes["points"] for tag, attributes in tags if tag == "polyline"]
    # accuracy train, val (one missing), loss train, val
    assert [len(line.split()) for line in lines if line] == [5, 4, 5, 5]
    assert sum(attributes.get("class") == "stage" for _, attributes in tags) == 2
    words = words_of(FIGURES)
    assert "quick 3 s 3 80.0 % yes fine 1 min 0 s 2 90.0 % yes" in words


def test_mistakes_come_with_their_pictures() -> None:
    reader = read(page_of(FIGURES))
    assert "Rubik's cube, taken for cat, 51.0 %" in reader.text and "cat, 98.0 %" in reader.text
    assert [attributes["src"] for tag, attributes in reader.tags if tag == "img"] == ["data:image/jpeg;base64,anBlZw=="]
    words = words_of(FIGURES)
    assert "The most frequent mix-up: Rubik's cube taken for cat, 1 of 1 times." in words
    perfect = {**FIGURES, "confusion": [[7, 0], [0, 1]], "samples": FIGURES["samples"][1:]}
    assert "No test image was taken for another class." in words_of(perfect)
    assert "There is none among the test images." in words_of(perfect)


def test_calibration_is_drawn_and_told() -> None:
    tags = read(page_of(FIGURES)).tags
    drawn = [attributes["class"] for tag, attributes in tags if tag == "circle" and attributes["class"] in ("before", "after")]
    assert drawn == ["before", "before", "after", "after"]  # a circle and its legend; the empty group has none
    words = words_of(FIGURES)
    assert "are 12.0 % apart before the correction and 3.0 % apart after it" in words and "the temperature: 1.62" in words
    assert "Here it makes the percentages smaller." in words


@pytest.mark.parametrize(("change", "expected"), [
    ({}, "Checked on 8 images: the file for the Nano answers like the trained network. No probability differs by "
         "more than 0.01 %."),
    ({}, "Rehearsed on 8 images, the first answer is the same for 100.0 %, 87.5 % are right, and no probability changes by "
         "more than 0.21 %."),
    ({"refused": ["test/cat/a.jpg", "test/cat/c.jpg"], "max_difference": 0.3},
     "on 2 of 8 images its file answers otherwise than the trained network, by up to 30.00 %. What was exported before has not "
     "changed. test/cat/a.jpg test/cat/c.jpg"),
    ({"refused": [f"test/cat/{n}.jpg" for n in range(13)]}, "test/cat/9.jpg and 3 more"),
    ({"fp16": None}, "Size, time and settings")])
def test_the_export_is_told(change: dict[str, Any], expected: str) -> None:
    assert expected in words_of({**FIGURES, "export": {**FIGURES["export"], **change}})


def test_before_the_export_it_says_so() -> None:
    assert "has not been exported yet" in words_of({**FIGURES, "export": None})


def test_measures_and_settings_are_listed() -> None:
    words = words_of(FIGURES)
    for expected in ("parameters of the network 3.37 M", "ONNX file 13.5 MB", "training in all 63.2 s", "learning rate 0.001",
                     f"seed {2 ** 60}", "checkpoint's SHA-256 0123456789ab", "1280 × 720", "cat 40 5 7 52"):
        assert expected in words


def test_every_sentence_is_in_both_languages(language: str) -> None:
    """No code is left bare, in any state of a report."""
    refused = {**FIGURES, "export": {**FIGURES["export"], "refused": ["test/cat/a.jpg"] * 20}}
    crowd = [f"class {number}" for number in range(40)]
    large = {**FIGURES, "classes": crowd, "confusion": [[1] * 40] * 40}
    fresh = report.Fresh(0.96, 320, [[150, 10], [3, 157]])
    for figures in (FIGURES, OLDER, refused, large, {**FIGURES, "confusion": [[0, 0], [0, 0]], "test_accuracy": None}):
        page = page_of(figures, fresh if figures is not large else None)
        assert not re.search(r"report\.[a-z_.]+", page) and f'<html lang="{language}">' in page


def test_what_an_older_server_measured_is_shown() -> None:
    words = words_of(OLDER)
    assert "87.5 %" in words and "between" not in words and "Can you believe" not in words


def test_without_test_images_it_does_not_pretend() -> None:
    empty = {**FIGURES, "confusion": [[0, 0], [0, 0]], "test_accuracy": None, "interval": None, "samples": [],
             "calibration": {"temperature": 1.0, "before": {"ece": None, "nll": None, "bins": []},
                             "after": {"ece": None, "nll": None, "bins": []}}}
    words = words_of(empty)
    assert "nobody knows how good it is" in words and "Confusion matrix" not in words and "mistakes" not in words


def test_a_crowd_of_classes_is_told_by_its_mix_ups() -> None:
    names = [f"class {number}" for number in range(40)]
    confusion = [[9 if row == column else 0 for column in range(40)] for row in range(40)]
    confusion[3][7] = 5
    page = page_of({**FIGURES, "classes": names, "confusion": confusion})
    assert "With 40 classes the table" in page and page.count("<td") < 100
    assert "class 3 class 7 5" in " ".join(read(page).text.split())


def test_it_needs_nothing_else() -> None:
    page = page_of(FIGURES)
    assert not re.search(r"(src|href)=\"(?!data:)", page) and "http" not in page.replace("http-equiv", "")
    assert "url(" not in page and "@import" not in page and "<script" not in page
    assert "prefers-color-scheme:dark" in page and "@media print" in page


def test_names_cannot_become_html() -> None:
    assert "ada-<b>-001" in read(page_of(FIGURES)).text


def test_fresh_takes_stand_beside_the_splits_figure() -> None:
    words = words_of(FIGURES, report.Fresh(0.96, 320, [[150, 10], [3, 157]]))
    assert "96.0 % of 320 frames" in words and "157" in words


def test_a_report_in_figures() -> None:
    """What the window and the list of runs read."""
    given = report.read(FIGURES)
    assert (given.tested, given.right, given.test_accuracy, given.interval) == (8, 7, 0.875, (0.5291, 0.9776))
    assert given.calibration is not None and given.calibration.after.bins[0].count == 8
    assert given.export is not None and given.export.fp16 is not None and given.export.fp16.images == 8
    assert [one.stage for one in given.stages] == ["quick", "fine"] and given.history[3].stage == "fine"
    assert given.settings["seed"] == 2 ** 60 and given.settings["epochs"] is None
    older = report.read(OLDER)
    assert older.interval is None and older.export is None and older.stages == () and older.total_s == 63.25


@pytest.mark.parametrize("change", [
    {"interval": [0.9]}, {"interval": [0.9, 0.1]}, {"interval": [0.1, 1.5]}, {"interval": "x"}, {"stages": [{"stage": 5}]},
    {"stages": [{"stage": "quick"}] * 101}, {"settings": {"lr": "fast"}}, {"calibration": {"temperature": 0}},
    {"calibration": {**FIGURES["calibration"], "before": {"ece": 2, "nll": 1, "bins": []}}},
    {"calibration": {**FIGURES["calibration"], "after": {"ece": 0.1, "nll": 1, "bins": [5]}}},
    {"export": {**FIGURES["export"], "refused": "all"}}, {"export": {**FIGURES["export"], "fp16": {"images": -1}}},
    {"export": {}}, {"data": {"classes": {"cat": 5}}}, {"size": []}, {"device": 5}])
def test_new_figures_that_lie(change: dict[str, Any]) -> None:
    with pytest.raises(answers.Nonsense):
        report.read({**FIGURES, **change})
